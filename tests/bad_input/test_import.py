"""What `mmkd import` refuses, each in one line and with status 2, and without anything written."""

import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("unchecked")
CASES = tomllib.loads((Path(__file__).parent / "import.toml").read_text(encoding="utf-8"))["cases"]
GOOD = "who,what,when,stars\n" + "".join(f"{u},{i},2024-01-0{u + 1},5\n" for u in range(3) for i in range(3))


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in CASES])
def test_it_is_refused(case, refused, tmp_path):
    log = tmp_path / (case.get("name") or "log.csv")
    if case.get("name") != "":
        log.write_bytes(case["bytes"].encode("latin-1") if "bytes" in case else case.get("text", GOOD).encode())
    there = sorted(tmp_path.iterdir())
    arguments = [argument.replace("{tmp}", str(tmp_path)) for argument in case.get("arguments", [])]
    out = tmp_path / case.get("out", "shop")
    refused("import", log, out, "--user", "who", "--item", "what", *arguments, says=case["says"])
    assert sorted(tmp_path.iterdir()) == there
