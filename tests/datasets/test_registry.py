"""Named data sets: found locally, fetched from a server of our own, refused in one message otherwise."""

import functools
import http.server
import inspect
import pickle
import shutil
import socket
import threading
from dataclasses import replace

import numpy as np
import pytest
from made_up_folder import write_folder
from small_folders import SPLITS, write_diffmm, write_features, write_json, write_megcf, write_mmrec

from mmkd_core.data import DataError
from mmkd_core.datasets import DATASETS, LAYOUTS, check, fetch, load
from mmkd_core.datasets.remote import retrieve_all, sum_problem


def sha256(path):
    return sum_problem(path, "").split()[2].strip(";")


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder that plays TikTok's files, whose sums the catalogue then knows; fetching goes nowhere."""
    made = tmp_path / "source"
    made.mkdir()
    write_diffmm(made, SPLITS)
    write_features(made)
    point_at(monkeypatch, made, f"http://127.0.0.1:{closed_port()}/")
    return made


def point_at(monkeypatch, source, url):
    sums = {path.name: sha256(path) for path in sorted(source.iterdir())}
    entry = replace(DATASETS["tiktok"], forms=(sums,), download=functools.partial(retrieve_all, url, sums))
    monkeypatch.setitem(DATASETS, "tiktok", entry)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(source, monkeypatch):
    """The same files behind a web server; the list of the paths asked for grows as it serves."""
    asked = []

    class Handler(Quiet):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(source)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    point_at(monkeypatch, source, f"http://127.0.0.1:{server.server_port}/")
    yield asked
    server.shutdown()
    server.server_close()


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def test_every_entry_says_what_it_is_and_how_it_is_had():
    assert list(DATASETS) == ["demo", "tiktok", "lfm2k", "amazon-beauty", "amazon-beauty-wide", "taobao", "ml-100k"]
    for entry in DATASETS.values():
        assert callable(entry.reader)
        assert entry.title
        assert all(len(value) == 64 for form in entry.forms for value in form.values())
        assert "\n" not in entry.summary + entry.source + entry.terms
        assert bool(entry.forms) == (entry is not DATASETS["demo"])
        assert not entry.forms or entry.download or entry.source.startswith("https://")
    assert {entry.layout for entry in DATASETS.values()} >= {"diffmm", "mmrec", "megcf"}


def test_files_may_lie_in_the_folder_of_another_data_set_of_the_same(source, tmp_path, monkeypatch, cache):
    monkeypatch.setitem(DATASETS, "tiktok", replace(DATASETS["tiktok"], folders=("tiktok-as-published",)))
    root = tmp_path / "data"
    root.mkdir()
    write_folder(root / "tiktok-as-published")  # somebody's own data, in another layout
    with pytest.raises(DataError, match=f"tiktok-as-published lacks .*; {root / 'tiktok'} lacks"):
        load("tiktok", root=root, download=False)
    shutil.rmtree(root / "tiktok-as-published")
    shutil.copytree(source, root / "tiktok-as-published")
    assert load("tiktok", root=root).fingerprint == load(source).fingerprint
    monkeypatch.setenv("MMKD_DATA", str(root))
    assert fetch("tiktok") == root / "tiktok-as-published"
    assert not cache.exists()


@pytest.mark.parametrize(("held", "lacks"), [("", "abcd"), ("ef", ""), ("abe", "cd"), ("efa", ""), ("e", "f")])
def test_what_a_folder_lacks_is_of_the_form_that_it_holds_most_of(folder, held, lacks):
    entry = replace(DATASETS["tiktok"], forms=(dict.fromkeys("abcd", ""), dict.fromkeys("ef", "")))
    for file in held:
        (folder / file).touch()
    assert entry.missing(folder) == list(lacks)


def test_what_is_found_locally_needs_no_network(source, tmp_path, monkeypatch, cache):
    shutil.copytree(source, tmp_path / "data" / "tiktok")
    assert load("tiktok", root=tmp_path / "data").name == "tiktok"
    monkeypatch.setenv("MMKD_DATA", str(tmp_path / "data"))
    assert len(load("tiktok", download=False).train) == 5
    assert fetch("tiktok") == tmp_path / "data" / "tiktok"
    assert not cache.exists()


def test_what_is_fetched_lies_in_the_cache_and_is_not_fetched_again(served, cache, source, capfd):
    found = load("tiktok")
    assert found.fingerprint == load(source).fingerprint
    assert sorted(served) == [f"/{name}" for name in left(source)]
    assert left(cache) == left(source)
    load("tiktok")
    assert fetch("tiktok") == cache / "tiktok"
    assert len(served) == 5
    assert capfd.readouterr() == ("", "")


def test_a_root_is_where_it_is_fetched_to_and_only_what_lacks_is(served, source, tmp_path, cache):
    (tmp_path / "here" / "tiktok").mkdir(parents=True)
    shutil.copy(source / "trnMat.pkl", tmp_path / "here" / "tiktok")
    load("tiktok", root=tmp_path / "here")
    assert left(tmp_path / "here") == left(source)
    assert "/trnMat.pkl" not in served
    assert not cache.exists()


def test_mmkd_data_is_looked_at_and_never_written_to(served, source, tmp_path, monkeypatch, cache):
    (tmp_path / "data" / "tiktok").mkdir(parents=True)
    monkeypatch.setenv("MMKD_DATA", str(tmp_path / "data"))
    load("tiktok")
    assert left(tmp_path / "data") == []
    assert left(cache) == left(source)


def test_offline_and_not_found_is_one_message(source, tmp_path, monkeypatch, cache, capfd):
    monkeypatch.setenv("MMKD_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "tiktok").mkdir(parents=True)
    shutil.copy(source / "trnMat.pkl", tmp_path / "data" / "tiktok")
    with pytest.raises(DataError) as caught:
        load("tiktok")
    message = str(caught.value)
    assert "\n" not in message
    lacks = ", ".join(name for name in left(source) if name != "trnMat.pkl")
    assert f"{tmp_path / 'data' / 'tiktok'} lacks {lacks}" in message
    assert f"put {', '.join(left(source))} into MMKD_DATA/tiktok/" in message
    assert "ConnectionError" in message
    assert "they come from https://raw.githubusercontent.com/HKUDS/DiffMM/fae20e64" in message
    assert left(cache) == []
    assert not (cache / "tiktok").exists()
    assert capfd.readouterr() == ("", "")


def test_download_false_asks_nobody(served):
    with pytest.raises(DataError, match=r"not found .*download=False.*MMKD_DATA/tiktok/"):
        load("tiktok", download=False)
    assert served == []


@pytest.mark.parametrize("error", [TimeoutError("slow"), RuntimeError("proxy"), PermissionError(13, "denied")])
def test_any_error_of_the_network_becomes_the_message(source, monkeypatch, cache, error):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", fail)
    with pytest.raises(DataError, match=rf"tiktok: not found .*{type(error).__name__}.*MMKD_DATA/tiktok/"):
        load("tiktok")
    assert left(cache) == []


def test_a_cut_connection_leaves_nothing_half_written(source, monkeypatch, cache):
    def cut(self, url, output_file, pooch, check_only=False):
        with open(output_file, "wb") if isinstance(output_file, str) else output_file as file:
            file.write(b"half")
        raise ConnectionResetError("cut")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", cut)
    with pytest.raises(DataError, match="ConnectionResetError: cut"):
        load("tiktok")
    assert left(cache) == []


def test_a_missing_page_is_named(served, source, cache):
    (source / "valMat.pkl").unlink()
    with pytest.raises(DataError, match=r"valMat\.pkl: HTTPError: 404"):
        load("tiktok")
    assert "valMat.pkl" not in left(cache)
    assert all(sha256(cache / "tiktok" / name) == sha256(source / name) for name in left(cache))


def test_a_wrong_sum_from_the_network_is_refused(served, source, cache):
    expected = sha256(source / "tstMat.pkl")
    (source / "tstMat.pkl").write_bytes(b"something else")
    with pytest.raises(DataError) as caught:
        load("tiktok")
    assert expected in str(caught.value)
    assert sha256(source / "tstMat.pkl") in str(caught.value)
    assert "tstMat.pkl" in str(caught.value)
    assert "tstMat.pkl" not in left(cache)
    assert all(name in left(source) for name in left(cache))


def test_a_wrong_sum_in_a_folder_is_refused(source, tmp_path):
    copy = tmp_path / "data" / "tiktok"
    shutil.copytree(source, copy)
    path = copy / "image_feat.npy"
    expected = sha256(path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError) as caught:
        load("tiktok", root=tmp_path / "data")
    assert f"{path}: got sha256 {sha256(path)}; expected {expected}; remove it" in str(caught.value)
    assert load(copy).name == "tiktok"  # by its path it is anyone's data


def test_further_features_of_the_layout_are_loaded(source, tmp_path):
    shutil.copytree(source, tmp_path / "tiktok")
    np.save(tmp_path / "tiktok" / "sound_feat.npy", np.ones((5, 1)))
    assert "sound" in load("tiktok", root=tmp_path).features


@pytest.mark.parametrize("write", [write_json, write_mmrec, write_megcf])
def test_ones_own_data_under_a_known_name_is_loaded_as_it_is(source, tmp_path, write):
    (tmp_path / "tiktok").mkdir()
    write(tmp_path / "tiktok", SPLITS)
    if write is not write_megcf:
        write_features(tmp_path / "tiktok")
    assert len(load("tiktok", root=tmp_path).train) == 5


def test_an_unknown_name_lists_the_known_and_where_it_looked(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"unknown data set 'tiktak'; one of \['demo', 'tiktok', .*set MMKD_DATA"):
        load("tiktak")
    monkeypatch.setenv("MMKD_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load("tiktak")
    assert f"looked for {tmp_path / 'tiktak'} and tiktak" in str(caught.value)
    for function in (fetch, check):
        with pytest.raises(DataError, match=r"unknown data set 'tiktak'; one of"):
            function("tiktak")


@pytest.mark.parametrize(
    ("name", "option", "allowed"),
    [("tiktok", "noise", "layout"), ("demo", "layout", "seed"), ("small", "seed", "layout")],
)
def test_a_wrong_option_is_named(source, mmrec, name, option, allowed):
    root = source.parent
    shutil.copytree(source, root / "tiktok")
    with pytest.raises(DataError, match=rf"unknown option '{option}' of {name}; one of \[.*'{allowed}'"):
        load(name, root=root, **{option: 1})


def test_a_wrong_option_is_named_before_anything_is_fetched(served):
    with pytest.raises(DataError, match="unknown option 'noise' of tiktok"):
        load("tiktok", noise=0.3)
    assert served == []


def test_demo_takes_its_options_and_nothing_is_fetched():
    parameters = inspect.signature(DATASETS["demo"].reader).parameters
    assert list(parameters) == ["seed", "noise", "redundancy"]
    assert check("demo") == []
    with pytest.raises(DataError, match="demo: nothing to fetch"):
        fetch("demo")


def test_check_says_what_each_file_is(source, tmp_path, monkeypatch):
    monkeypatch.setenv("MMKD_DATA", str(tmp_path))
    shutil.copytree(source, tmp_path / "tiktok")
    assert {verdict for _, verdict in check("tiktok")} == {"ok"}
    (tmp_path / "tiktok" / "valMat.pkl").write_bytes(b"x")
    (tmp_path / "tiktok" / "tstMat.pkl").unlink()
    verdicts = {file.rsplit("/", 1)[1]: verdict for file, verdict in check("tiktok")}
    assert verdicts.pop("valMat.pkl").startswith("got sha256 2d711642b726b044")
    assert verdicts.pop("tstMat.pkl").startswith("no such file; expected sha256")
    assert set(verdicts.values()) == {"ok"}


def test_check_finds_a_folder_by_name_where_load_does(diffmm, monkeypatch):
    monkeypatch.setenv("MMKD_DATA", str(diffmm.parent))
    assert check(diffmm.name) == check(diffmm)
    assert check(diffmm.name, root=diffmm.parent) == check(diffmm)
    with pytest.raises(DataError, match=r"unknown data set 'nowhere'; one of .* \(looked for "):
        check("nowhere")


def test_check_of_a_folder_loads_it(diffmm):
    assert {verdict for _, verdict in check(diffmm)} == {"ok"}
    assert len(check(str(diffmm))) == 5
    (diffmm / "trnMat.pkl").write_bytes(pickle.dumps(len))
    [(where, verdict)] = check(diffmm)
    assert where == str(diffmm)
    assert "trnMat.pkl: refused: it names builtins.len" in verdict


REAL_COUNTS = {
    "tiktok": (9308, 6710, 59541, 3051, 6130, {"image": 128, "audio": 128}),
    "lfm2k": (1858, 1425, 44327, 4799, 7219, {"all-MiniLM-L6-v2": 384, "vggish": 128, "whisper": 512}),
    "amazon-beauty": (15576, 8678, 108166, 15576, 15576, {"image": 128, "text": 128}),
    "amazon-beauty-wide": (15576, 8678, 108166, 15576, 15576, {"image": 962, "text": 4039}),
    "taobao": (12539, 8735, 58570, 12539, 12539, {"image": 128, "text": 128}),
}


@pytest.mark.parametrize("name", REAL_COUNTS)
def test_the_real_data_have_the_published_counts(real_data, name):
    if not any((real_data / folder).is_dir() for folder in (name, *DATASETS[name].folders)):
        pytest.skip(f"no folder {name} in {real_data}")
    assert {verdict for _, verdict in check(name)} == {"ok"}
    data = load(name, download=False)
    widths = {modality: x.shape[1] for modality, x in data.features.items()}
    assert (data.num_users, data.num_items, len(data.train), len(data.val), len(data.test), widths) == REAL_COUNTS[name]
    assert all(len(x) == data.num_items for x in data.features.values())
    assert DATASETS[name].layout in LAYOUTS


def test_a_stray_file_beside_published_ones_does_not_change_the_layout(source):
    """By its name a data set is read in the layout that it was published in."""
    root = source.parent / "root"
    shutil.copytree(source, root / "tiktok")
    usual = load("tiktok", root=root)
    (root / "tiktok" / "stray.inter").write_text("of another layout")
    assert load("tiktok", root=root).fingerprint == usual.fingerprint
