"""`mmkd fit`: the steps of a file, each done once, whatever ends it; and what is no such file."""

import json
import random
import shutil

import pytest
from command_line import call
from dying import killed
from shop_log import CONFIG, fitted, write_shop

from mmkd_core.experiment import Record

KILLS = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which all was done, and what was said."""
    file = write_shop(tmp_path_factory.mktemp("shop") / "shop")
    fitted(file)
    return file.parent


WHEN = {"cost", "environment", "made", "files", "date", "computed", "again"}  # they change with the moment


def timeless(values):
    """JSON without what the moment of its making changes."""
    if isinstance(values, dict):
        return {name: timeless(value) for name, value in values.items() if name not in WHEN}
    return values


def results(folder):
    """The results of all steps: bytes, or JSON without times; neither a page's nor a Parquet file's bytes are alike."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            found[name] = timeless(json.loads(path.read_text().replace(str(folder), "")))
        elif path.suffix not in (".html", ".parquet"):
            found[name] = path.read_bytes()
    return found


def test_all_steps_are_done_from_another_folder(made):
    assert (made / "shop" / "shop.inter").is_file()
    assert (made / "shop" / "text_feat.npy").is_file()
    assert "lightgcn" in (made / "runs" / "settings.toml").read_text()
    assert "<html" in (made / "report.html").read_text()
    models = {path.parent.name for path in (made / "runs" / "shop").glob("*/*.json")}
    assert models == {"popularity", "lightgcn", "teacher", "mmkd"}
    assert json.loads((made / "served" / "card.json").read_text())["experiment"]["model"] == "mmkd"
    record = Record.read(next((made / "runs" / "shop" / "lightgcn").glob("*.json")))
    study = json.loads((made / "runs" / "searches" / "shop-lightgcn.json").read_text())
    assert record.experiment.hparams["l2"] == study["best"]["l2"]
    assert record.experiment.fit.epochs == 4


def test_what_stands_is_not_done_again(made, tmp_path, capsys):
    folder = shutil.copytree(made, tmp_path / "copy")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json") if path.parent.name != "shop"}
    status, out, _ = call(capsys, "fit", folder / "shop.toml")
    assert status == 0
    assert [line for line in out.splitlines() if line.endswith(": stands")] == [
        "shop: stands", "report.html: stands", "served: stands"
    ]  # fmt: skip
    kept = [path for path in before if path.parent.name in ("searches", "served")]
    assert len(kept) >= 3
    assert {path: path.stat().st_mtime_ns for path in kept} == {path: before[path] for path in kept}


def test_a_changed_step_is_done_again_and_those_after_it(made, tmp_path, capsys):
    folder = shutil.copytree(made, tmp_path / "copy")
    (folder / "shop.toml").write_text(CONFIG.replace("fit.epochs=4", "fit.epochs=2"))
    status, out, _ = call(capsys, "fit", folder / "shop.toml")
    assert status == 0
    assert "shop: stands" in out
    assert "report.html: written" in out
    assert json.loads((folder / "served" / "card.json").read_text())["experiment"]["fit"]["epochs"] == 2


def test_options_of_the_data_reach_the_export(tmp_path, capsys):
    config = CONFIG.replace('models = ["popularity", "lightgcn", "mmkd"]', 'models = ["lightgcn"]')
    config = config.replace('set = ["fit.epochs=4"', 'set = ["data.content=permuted", "fit.epochs=4"').replace(
        '"mmkd"', '"lightgcn"'
    )
    config = config.replace('[report]\nout = "report.html"\ntitles = "captions.csv"\n', "")
    assert call(capsys, "fit", write_shop(tmp_path / "shop", config))[0] == 0
    card = json.loads((tmp_path / "shop" / "served" / "card.json").read_text())
    assert card["experiment"]["options"] == {"content": "permuted"}


def test_another_log_is_not_mixed_with_what_was_made_of_the_first(made, tmp_path, capsys):
    folder = shutil.copytree(made, tmp_path / "copy")
    (folder / "log.csv").write_text((folder / "log.csv").read_text() + "u1,i79\n")
    inter = (folder / "shop" / "shop.inter").read_bytes()
    status, _, err = call(capsys, "fit", folder / "shop.toml")
    assert (status, (folder / "shop" / "shop.inter").read_bytes()) == (2, inter)
    assert "made from another log, or otherwise; delete it to have it made anew" in err


def test_a_folder_that_it_did_not_make_is_not_touched(tmp_path, capsys):
    file = write_shop(tmp_path / "shop")
    (file.parent / "shop").mkdir()
    (file.parent / "shop" / "mine.txt").write_text("mine")
    status, _, err = call(capsys, "fit", file)
    assert status == 2
    assert "shop" in err
    assert [path.name for path in (file.parent / "shop").iterdir()] == ["mine.txt"]


def reached(folder):
    """How far a folder is: its files and how long each of them is."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".tmp"]
    return tuple(sorted((str(path.relative_to(folder)), path.stat().st_size) for path in files))


def test_a_killed_fit_that_is_done_again_gives_the_undisturbed_result(processes, made, tmp_path):
    file, expected, draw, moments = write_shop(tmp_path / "counted"), results(made), random.Random(0), []
    changes = killed(processes, file.parent, fitted, file)
    assert changes > 100
    for number in range(KILLS // 3):
        file = write_shop(tmp_path / f"after-{number}")
        for _ in range(3):  # what was done is not done again: three such parts are never the whole
            assert killed(processes, file.parent, fitted, file, before=draw.randint(1, changes // 4)) is None
            moments.append(reached(file.parent))
        assert killed(processes, file.parent, fitted, file) > 0
        assert results(file.parent) == expected
        assert not [*file.parent.rglob("*.checkpoint")]
    assert len(set(moments)) >= KILLS // 2


IMPORT = '[import]\nlog = "log.csv"\nuser = "who"\nitem = "what"\n'
RUN = '[run]\nmodels = ["lightgcn"]\n'
BAD = {
    "no TOML": ('data = "shop', "shop.toml: "),
    "nothing": ("", "data=None; expected a text"),
    "no step": ('data = "shop"', "no step; expected some of"),
    "an unknown name": ('data = "shop"\nlog = "log.csv"\n' + IMPORT, "unknown 'log'; expected one of"),
    "an unknown step": ('data = "shop"\n[train]\n' + RUN, "unknown 'train'"),
    "a step that is no table": ('data = "shop"\nimport = "log.csv"', "import='log.csv'; expected a table"),
    "data that is no text": ("data = 3\n" + IMPORT, "data=3; expected a text"),
    "a path with a zero byte": ('data = "a\\u0000b"\n' + IMPORT, "expected a text"),
    "no log": ('data = "shop"\n[import]\nuser = "who"', "[import] has no log; expected one"),
    "an unknown option": ('data = "shop"\n' + IMPORT + 'users = "who"', "unrecognized arguments: --users=who"),
    "an abbreviated option": ('data = "shop"\n' + IMPORT + "k-cor = 3", "unrecognized arguments: --k-cor=3"),
    "a table as an option": ('data = "shop"\n' + IMPORT + "val = {a = 1}", "val={'a': 1}; expected a text"),
    "a date as an option": ('data = "shop"\n' + IMPORT + "val-from = 2026-01-01", "val-from=datetime.date"),
    "force": ('data = "shop"\n' + IMPORT + "force = true", "[import] has force, which is no affair"),
    "a flag with a value": ('data = "shop"\n[features]\nstrict = "yes"', "ignored explicit argument"),
    "a value that is a flag": ('data = "shop"\n[features]\ntexts = true', "expected one argument"),
    "no models": ('data = "shop"\n[run]\n', "[run] has no models; expected one"),
    "models that are no list": ('data = "shop"\n[run]\nmodels = "lightgcn"', "models='lightgcn'; expected a list"),
    "an empty list of models": ('data = "shop"\n[run]\nmodels = []', "models=[]; expected a list of names"),
    "an unknown model": ('data = "shop"\n[run]\nmodels = ["lightgnc"]', "unknown model 'lightgnc'"),
    "a model as a number": ('data = "shop"\n[tune]\nmodels = [1]', "models=[1]; expected a list of names"),
    "seeds that are no numbers": ('data = "shop"\n' + RUN + 'seeds = ["a"]', "seeds=['a']; expected a list of seeds"),
    "true as a seed": ('data = "shop"\n' + RUN + "seeds = [true]", "seeds=[True]; expected a list of seeds"),
    "trials that are no number": (
        'data = "shop"\n[tune]\nmodels = ["itemknn"]\ntrials = "ten"',
        "'ten' is not a whole",
    ),
    "a report of nothing": ('data = "shop"\n' + IMPORT + '[report]\nout = "a.html"', "[report] without [run]"),
    "a report to nowhere": ('data = "shop"\n' + RUN + "[report]\n", "the following arguments are required: --out"),
    "an export of nothing": ('data = "shop"\n[export]\nmodel = "mmkd"\nout = "o"', "[export] without [run]"),
    "an export of another": ('data = "shop"\n' + RUN + '[export]\nmodel = "mmkd"\nout = "o"', "model='mmkd'; expected"),
    "an export to nowhere": ('data = "shop"\n' + RUN + '[export]\nmodel = "lightgcn"', "[export] has no out"),
    "help": ('data = "shop"\n' + RUN + "help = true", "unrecognized arguments: --help"),
    "another store in a step": ('data = "shop"\n' + RUN + 'store = "x"', "[run] has store, which is no affair"),
    "too many bytes": ("#" * 2**20 + "##", "1,048,578 bytes; expected at most"),
    "lists without end": ("a = " + "[" * 5000, "shop.toml: "),
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_what_is_no_configuration_is_refused_before_anything_is_done(text, says, tmp_path, capsys):
    file = write_shop(tmp_path / "shop", text)
    before = sorted(path.name for path in file.parent.iterdir())
    status, out, err = call(capsys, "fit", file)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert "shop.toml" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in file.parent.iterdir()) == before


@pytest.mark.parametrize("missing", ["shop.toml", "log.csv"])
def test_a_file_that_is_not_there_is_named(missing, tmp_path, capsys):
    file = write_shop(tmp_path / "shop")
    (file.parent / missing).unlink()
    status, _, err = call(capsys, "fit", file)
    assert status == 2
    assert missing in err
    assert err.count("\n") == 1
    assert not (file.parent / "shop").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            '[report]\nout = "r.html"\ntitles = "log.csv"\n',
            "log.csv, row 3: the id 'u0' stands twice; expected it once",
        ),
        ('[report]\nout = "r.html"\ntitles = "gone.csv"\n', "[report] titles='gone.csv': no such file"),
        ('[report]\nout = "r.html"\npictures = "gone"\n', "[report] pictures='gone': no such file or folder"),
        ('[report]\nout = "r.html"\ntitles = 5\n', "[report] titles='5': no such file or folder"),
        ('[features]\ntexts = "gone.csv"\n', "[features] texts='gone.csv': no such file or folder"),
        ('[features]\nimages = "gone"\n', "[features] images='gone': no such file or folder"),
    ],
)
def test_what_a_later_step_reads_is_looked_at_before_the_first(more, says, tmp_path, capsys):
    start = 'data = "shop"\n[import]\nlog = "log.csv"\nuser = "who"\nitem = "what"\n[run]\nmodels = ["popularity"]\n'
    file = write_shop(tmp_path / "shop", start + more)
    status, out, err = call(capsys, "fit", file)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err
    assert not (file.parent / "shop").exists()
