"""What the command line refuses, each in one line and with status 2."""

import tomllib
from pathlib import Path

import pytest
from made_up_folder import write_folder

from mmkd_core import plan, run

pytestmark = pytest.mark.usefixtures("unchecked")
CASES = tomllib.loads((Path(__file__).parent / "command_line.toml").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="module")
def places(small, tmp_path_factory):
    """What the names in braces stand for."""
    store = tmp_path_factory.mktemp("records")
    record = run(plan("popularity", str(small)), store)
    other = write_folder(tmp_path_factory.mktemp("others") / "other", seed=1)
    return {"folder": small, "other": other, "record": record.file(store)}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_it_is_refused(case, places, refused, tmp_path):
    here = {"{tmp}": tmp_path, "{store}": tmp_path / "store"} | {f"{{{name}}}": place for name, place in places.items()}
    text = "\0".join(case["arguments"])
    for name, place in here.items():
        text = text.replace(name, str(place))
    arguments = text.split("\0") if case["arguments"] else []
    if arguments[:1] == ["run"]:
        arguments += ["--store", tmp_path / "store"]
    refused(*arguments, says=case["says"])
    assert not list(tmp_path.iterdir())
