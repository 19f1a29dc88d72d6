"""Each vendored folder has its licence and its row in the README, which names the version that is fetched."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDORS = [ROOT / "book/_static/vendor", ROOT / "tests/book/vendor"]
ROW = re.compile(r"\| `(.+?)` \| (\S+) ([\d.]+)(?:,.*)? \| (.+) \|")
ROWS = [(vendor / row[0], *row[1:]) for vendor in VENDORS for row in ROW.findall((vendor / "README.md").read_text())]
SAYS = {
    "Apache-2.0": "Apache License",
    "MPL-2.0": "Mozilla Public License, version 2.0",
    "SIL OFL 1.1": "SIL Open Font License, Version 1.1",
}


def test_every_folder_has_its_row():
    assert {row[0] for row in ROWS} == {path for vendor in VENDORS for path in vendor.iterdir() if path.is_dir()}


@pytest.mark.parametrize(("folder", "package", "version", "licence"), ROWS, ids=[row[1] for row in ROWS])
def test_versions_and_licences(folder, package, version, licence):
    assert f"take {package}@{version} {folder.name} " in (ROOT / "tools/vendor.sh").read_text()
    assert SAYS[licence] in (folder / "LICENSE").read_text()
