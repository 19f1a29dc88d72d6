"""What the wheel holds beside the code: a file that no pattern names is missing for whoever installs it."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mmkd_core"
PATTERNS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["mmkd_core"]


def test_every_file_of_the_package_that_is_no_code_is_in_the_wheel():
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert PACKAGE / "evidence" / "paper.toml" in files
    assert files - {path for pattern in PATTERNS for path in PACKAGE.glob(pattern)} == set()
