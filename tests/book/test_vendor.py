"""Each vendored folder has its licence and its row in the README, which names the version that is fetched."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "book/_static/vendor"
ROWS = re.findall(r"\| `(.+?)` \| (\S+) ([\d.]+)(?:,.*)? \| (.+) \|", (VENDOR / "README.md").read_text())
SAYS = {"Apache-2.0": "Apache License", "SIL OFL 1.1": "SIL Open Font License, Version 1.1"}


def test_every_folder_has_its_row():
    assert {row[0] for row in ROWS} == {path.name for path in VENDOR.iterdir() if path.is_dir()}


@pytest.mark.parametrize(("folder", "package", "version", "licence"), ROWS)
def test_versions_and_licences(folder, package, version, licence):
    assert f"take {package}@{version} {folder} " in (ROOT / "tools/vendor.sh").read_text()
    assert SAYS[licence] in (VENDOR / folder / "LICENSE").read_text()
