"""What `mmkd refresh` refuses, each in one line and with status 2, and without anything changed."""

import shutil
import tomllib
from pathlib import Path

import pytest

from mmkd_core import plan, run
from mmkd_core.export import export

pytestmark = pytest.mark.usefixtures("unchecked")
CASES = tomllib.loads((Path(__file__).parent / "refresh.toml").read_text(encoding="utf-8"))["cases"]
GOOD = "who,what,stars\n0,1,5\n"


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    export(run(plan("popularity", str(small)), folder / "store").file(folder / "store"), folder / "export")
    return folder / "export"


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in CASES])
def test_it_is_refused(case, exported, refused, tmp_path):
    folder = Path(shutil.copytree(exported, tmp_path / "export"))
    log = tmp_path / (case.get("name") or "log.csv")
    if case.get("name") != "":
        log.write_bytes(case["bytes"].encode("latin-1") if "bytes" in case else case.get("text", GOOD).encode())
    if "spoil" in case:
        (folder / case["spoil"]).write_bytes((folder / case["spoil"]).read_bytes()[:-40])
    before = content(tmp_path)
    usual = ["{log}", "--user", "who", "--item", "what", *case.get("more", [])]
    arguments = [text.format(log=log, tmp=tmp_path) for text in case.get("arguments", usual)]
    refused("refresh", folder, *arguments, says=case["says"])
    assert content(tmp_path) == before


@pytest.mark.parametrize("what", ["nothing", "a file", "data", "an empty folder"])
def test_what_is_no_export_is_named(what, small, refused, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(GOOD)
    (tmp_path / "empty").mkdir()
    place = {"nothing": tmp_path / "none", "a file": log, "data": small, "an empty folder": tmp_path / "empty"}[what]
    says = r"card\.json: (no such card|not a card) of an export"
    refused("refresh", place, log, "--user", "who", "--item", "what", says=says)
    refused("refresh", place, "--roll-back", says=says)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "log.csv"]
