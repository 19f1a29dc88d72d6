"""What `mmkd features` refuses, each in one line and with status 2, and without anything written."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from made_up_folder import ITEMS

pytestmark = pytest.mark.usefixtures("unchecked")
CASES = tomllib.loads((Path(__file__).parent / "bad_input.toml").read_text(encoding="utf-8"))["cases"]


def all_files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in CASES])
def test_it_is_refused(case, shop, refused):
    place = shop.parent
    texts = {name: text.encode() for name, text in case.get("files", {}).items()}
    texts |= {name: text.encode("latin-1") for name, text in case.get("bytes", {}).items()}
    for name, content in texts.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    if "remove" in case:
        (place / case["remove"]).unlink()
    if "npy" in case:
        np.save(shop / case["npy"], np.ones((ITEMS, 2), np.float32))
    before = all_files(place)
    arguments = [argument.replace("{tmp}", str(place)) for argument in case["arguments"]]
    refused("features", place / case.get("folder", "shop"), *arguments, says=case["says"])
    assert all_files(place) == before
