"""`mmkd features`: a row per item, in order; what is kept, what is listed, what goes on, and what stays whole."""

import csv
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from command_line import call
from gallery import drawn, item_id, made, pixels, samples, saved
from made_up_folder import ITEMS
from PIL import Image

from mmkd_core import load
from mmkd_core.data import DataError
from mmkd_core.datasets.extracting import extract_features, extractors, simple, sounds
from mmkd_core.datasets.extracting.card import read_card

pytestmark = pytest.mark.usefixtures("unchecked")


def media(shop, *kinds):
    """Where the media of some kinds lie, as arguments of `extract_features`."""
    there = {"images": "pictures", "texts": "captions.csv", "audio": "sounds"}
    return {kind: shop.parent / there[kind] for kind in kinds or there}


def matrix(shop, modality="image"):
    return np.load(shop / f"{modality}_feat.npy")


def problems(shop, modality="image"):
    path = shop / f"{modality}_problems.csv"
    return [*csv.reader(path.read_text(encoding="utf-8").splitlines())][1:] if path.exists() else []


# --- what is written ---


def test_the_command_makes_modalities_that_load_finds(shop, capsys):
    own = [part for kind, path in media(shop).items() for part in (f"--{kind}", path)]
    status, out, err = call(capsys, "features", shop, *own, "--sheet", shop.parent / "sheet.html")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "image: hog, 528-d: 60 of 60 items, 60 computed now"
    assert lines[1].startswith("image: lift ")
    assert lines[2] == "text: tfidf, 10-d: 60 of 60 items, 60 computed now"
    assert lines[4] == "audio: logmel, 80-d: 60 of 60 items, 60 computed now"
    assert lines[6].startswith("lift: how many times as much")
    assert lines[7] == f"{shop.parent / 'sheet.html'}: written"
    data = load(shop)
    assert {name: tuple(x.shape) for name, x in data.features.items()} == {
        "audio": (60, 80), "image": (60, 528), "text": (60, 10)
    }  # fmt: skip
    assert (
        call(capsys, "run", "vbpr", "--data", shop, "--store", shop.parent / "store", "--set", "fit.epochs=1")[0] == 0
    )


@pytest.mark.parametrize("ids", [True, False])
def test_rows_are_in_the_order_of_the_items(ids, tmp_path):
    shop = made(tmp_path, ids)
    extract_features(shop, **media(shop))
    seen = np.stack([pixels(item) for item in range(ITEMS)])
    np.testing.assert_array_equal(matrix(shop), simple.image_features(seen))
    heard = np.stack([np.rint(samples(item) * 32767) / 32768 for item in range(ITEMS)]).astype(np.float32)
    np.testing.assert_allclose(matrix(shop, "audio"), simple.audio_features(heard, sounds.RATE), atol=2e-5)
    table = pd.read_csv(shop.parent / "captions.csv")
    both = [f"{title}\n{words}" for title, words in zip(table["title"], table["words"], strict=True)]
    np.testing.assert_array_equal(matrix(shop, "text"), simple.text_features(both, 128))


def test_the_demo_has_what_the_command_makes_of_its_pictures(shop):
    demo = load("demo")
    for item in range(ITEMS):
        path = shop.parent / "pictures" / f"{item_id(item)}.png"
        path.write_bytes(saved(Image.fromarray(demo.posters[item]), "PNG"))
    extract_features(shop, **media(shop, "images"))
    np.testing.assert_array_equal(matrix(shop), demo.features["image"][:ITEMS])


def test_the_card_tells_what_made_them(shop):
    done = extract_features(shop, **media(shop, "images", "texts"), extractors=["look=hog", "tfidf"])
    card = json.loads((shop / "features.json").read_text())["features"]
    assert card["look"] | {"date": "", "libraries": {}, "sha256": ""} == {
        "modality": "look", "kind": "image", "file": "look_feat.npy", "sha256": "", "width": 528, "items": 60,
        "extractor": "hog", "version": 1, "weights": None, "sum": None, "source": "pictures", "found": 60,
        "without": 0, "broken": 0, "unknown": 0, "again": 0, "computed": 60, "device": None, "libraries": {},
        "date": "",
    }  # fmt: skip
    assert {"numpy", "pillow"} <= card["look"]["libraries"].keys()
    assert done.made == read_card(shop)
    extract_features(shop, **media(shop, "audio"))
    assert sorted(read_card(shop)) == ["audio", "look", "text"]


def test_other_layouts_have_features_by_number(tmp_path, monkeypatch):
    shop = made(tmp_path, ids=False)
    table = pd.read_csv(shop / "shop.inter", sep="\t")
    (shop / "shop.inter").unlink()
    for label, split in enumerate(("train", "val", "test")):
        chosen = table[table["x_label"] == label].groupby("userID")["itemID"].apply(list)
        (shop / f"{split}.json").write_text(json.dumps({str(user): items for user, items in chosen.items()}))
    extract_features(shop, **media(shop, "images"))
    assert load(shop).features["image"].shape == (60, 528)


# --- whose medium is it? ---


def test_files_of_no_item_and_second_ones_are_counted(shop):
    folder = shop.parent / "pictures"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / f"{item_id(3)}.JPG").write_bytes(drawn(3, "JPEG"))
    (folder / f"{item_id(4)}.png").rename(folder / "deep" / "B004.png")
    (folder / f".{item_id(4)}.png").write_bytes(b"hidden")
    (folder / f"{item_id(4)}.txt").write_bytes(b"no picture")
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"no text")
    decomposed = unicodedata.normalize("NFD", item_id(5))
    (folder / f"{item_id(5)}.png").rename(folder / f"{decomposed}.png")
    done = extract_features(shop, **media(shop, "images"))
    made = done.made["image"]
    assert (made.unknown, made.again, made.without, made.broken) == (2, 1, 1, 0)
    assert problems(shop) == [[item_id(4), "", "no picture"]]
    assert not matrix(shop)[4].any()
    assert matrix(shop)[5].any()


def texts(shop, content, name="table.csv"):
    path = shop.parent / name
    path.write_text(content) if isinstance(content, str) else content.to_parquet(path)
    return path


def test_columns_are_chosen_and_rows_counted(shop):
    content = "price,sku,title,more\n" + "".join(f"{item},{item_id(item)},red {item % 3},\n" for item in range(50))
    content += f"9,nobody,x,y\n9,{item_id(0)},again,\n9,,no id,\n9,{item_id(51)},,\n9,short\n"
    path = texts(shop, content)
    done = extract_features(shop, texts=path, id_column="sku", text_columns=["title", "more"])
    made = done.made["text"]
    assert (made.found, made.unknown, made.again, made.broken, made.without) == (50, 3, 1, 1, 9)
    assert problems(shop, "text")[1] == [item_id(51), "table.csv, row 54", "an empty text"]
    assert done.media["text"].of[7] == "red 1"


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".parquet"])
def test_each_format_gives_the_same(suffix, shop):
    table = pd.read_csv(shop.parent / "captions.csv")
    path = shop.parent / f"captions{suffix}"
    write = {
        ".tsv": lambda: table.to_csv(path, sep="\t", index=False),
        ".jsonl": lambda: table.to_json(path, orient="records", lines=True),
        ".parquet": lambda: table.to_parquet(path),
    }
    write[suffix]()
    first, second = (extract_features(shop, texts=own).made["text"] for own in (shop.parent / "captions.csv", path))
    assert first.sha256 == second.sha256
    assert second.computed == 0


def test_a_table_of_pandas_with_an_index_and_numbers_is_read(shop):
    table = pd.DataFrame({"words": pd.Series([f"red {n % 7}" for n in range(ITEMS)], dtype="category"), "year": 1999})
    table.insert(0, "who", [item_id(n) for n in range(ITEMS)])
    done = extract_features(shop, texts=texts(shop, table, "t.parquet"))
    assert done.media["text"].of[8] == "red 1\n1999"


# --- strangers' media ---


def test_what_is_broken_is_listed_and_has_a_row_of_zeros(shop, capsys):
    folder = shop.parent / "pictures"
    (folder / f"{item_id(1)}.png").write_bytes(drawn(1)[:500])
    (folder / f"{item_id(2)}.png").write_bytes(b"")
    (folder / f"{item_id(3)}.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (folder / f"{item_id(4)}.png").unlink()
    (folder / f"{item_id(5)}.png").unlink()
    os.mkfifo(folder / f"{item_id(5)}.png")
    status, out, err = call(capsys, "features", shop, "--images", folder)
    assert (status, err) == (0, "")
    assert "image: 5 rows are zero, 4 broken and 1 without (B001é: image file is truncated; B002é: cannot" in out
    assert f"all in {shop / 'image_problems.csv'}" in out
    assert [row[0] for row in problems(shop)] == [item_id(item) for item in range(1, 6)]
    assert not matrix(shop)[1:6].any()
    assert matrix(shop).any(axis=1).sum() == ITEMS - 5
    (folder / f"{item_id(5)}.png").unlink()
    for item in range(1, 6):
        (folder / f"{item_id(item)}.png").write_bytes(drawn(item))
    assert extract_features(shop, images=folder).made["image"].computed == 5
    assert not problems(shop)


@pytest.mark.parametrize("what", ["a missing picture", "a broken picture", "an empty text", "a missing text"])
def test_strict_stops_and_nothing_is_written(what, shop):
    folder, table = shop.parent / "pictures", shop.parent / "captions.csv"
    lines = table.read_text().splitlines()
    spoil = {
        "a missing picture": (folder / f"{item_id(7)}.png").unlink,
        "a broken picture": lambda: (folder / f"{item_id(7)}.png").write_bytes(b"GIF89a"),
        "an empty text": lambda: table.write_text("\n".join([*lines[:8], f"{item_id(7)},,", *lines[9:]])),
        "a missing text": lambda: table.write_text("\n".join([*lines[:8], *lines[9:]])),
    }
    spoil[what]()
    there = sorted(shop.iterdir())
    with pytest.raises(DataError, match=f"(first is|item) '?.*{item_id(7)}"):
        extract_features(shop, **media(shop, "images", "texts"), strict=True)
    assert sorted(shop.iterdir()) == there
    extract_features(shop, **media(shop, "images", "texts"))
    assert len(sorted(shop.iterdir())) == len(there) + 4


def test_a_text_whose_words_no_other_has_is_a_row_of_zeros(shop):
    path = texts(shop, "id,t\n" + "".join(f"{item_id(n)},{'solitary' if n == 9 else 'red'}\n" for n in range(ITEMS)))
    for computed in (60, 0):
        assert extract_features(shop, texts=path).made["text"].computed == computed
        assert problems(shop, "text") == [[item_id(9), "table.csv", "no word of it is in another text"]]


# --- kept ---


def test_a_second_run_computes_what_is_new(shop, cache, monkeypatch):
    own = media(shop, "images", "audio")
    first = extract_features(shop, **own)
    before = {path.name: path.read_bytes() for path in shop.glob("*.npy")}
    (shop.parent / "pictures" / f"{item_id(9)}.png").write_bytes(drawn(999))
    second = extract_features(shop, **own)
    assert [first.made[name].computed for name in ("image", "audio")] == [60, 60]
    assert [second.made[name].computed for name in ("image", "audio")] == [1, 0]
    rows = np.flatnonzero((matrix(shop) != np.load(_file(before, shop))).any(axis=1))
    assert rows.tolist() == [9]
    assert sorted(path.name.split("-")[0] for path in cache.iterdir()) == ["hog", "logmel"]


def _file(before, shop):
    path = shop.parent / "before.npy"
    path.write_bytes(before["image_feat.npy"])
    return path


def test_the_same_content_is_computed_once(shop):
    for item in range(10):
        (shop.parent / "pictures" / f"{item_id(item)}.png").write_bytes(drawn(0))
    assert extract_features(shop, **media(shop, "images")).made["image"].computed == 51
    assert (matrix(shop)[:10] == matrix(shop)[0]).all()


def test_another_version_or_other_texts_are_computed_anew(shop, monkeypatch):
    own = media(shop, "texts")
    extract_features(shop, **own)
    assert extract_features(shop, **own).made["text"].computed == 0
    with (shop.parent / "captions.csv").open("a") as file:
        file.write("nobody,red,blue\n")
    assert extract_features(shop, **own).made["text"].computed == 0
    content = (shop.parent / "captions.csv").read_text().replace("No. 3,", "Number three,")
    (shop.parent / "captions.csv").write_text(content)
    assert extract_features(shop, **own).made["text"].computed == 60  # each row depends on all texts
    monkeypatch.setattr("mmkd_core.datasets.extracting.extractors.HOG", 2)
    extract_features(shop, **media(shop, "images"))
    monkeypatch.setattr("mmkd_core.datasets.extracting.extractors.HOG", 3)
    assert extract_features(shop, **media(shop, "images")).made["image"].computed == 60


def test_a_damaged_cache_is_made_again(shop, cache):
    own = media(shop, "images")
    extract_features(shop, **own)
    whole = matrix(shop)
    (file,) = cache.iterdir()
    with sqlite3.connect(file) as rows:
        rows.execute("UPDATE rows SET row = zeroblob(length(row)) WHERE digest = (SELECT min(digest) FROM rows)")
    rows.close()
    assert extract_features(shop, **own).made["image"].computed == 1
    file.write_bytes(b"no database" * 1000)
    assert extract_features(shop, **own).made["image"].computed == 60
    np.testing.assert_array_equal(matrix(shop), whole)


def test_a_cache_that_takes_nothing_is_named(shop, refused):
    file = shop.parent / "file"
    file.touch()
    says = r"sqlite: rows cannot be kept there \(Not a directory\); .*`--cache FOLDER`"
    refused("features", shop, "--images", shop.parent / "pictures", "--cache", file / "cache", says=says)
    assert not (shop / "image_feat.npy").exists()


def test_a_run_that_was_killed_goes_on(shop, cache):
    fork = multiprocessing.get_context("fork")
    receive, send = fork.Pipe(duplex=False)

    def until_told(modality, done, total):
        if done == 40:
            send.send(True)
            signal.pause()

    def work():
        make = extractors.Choice.make
        extractors.Choice.make = lambda *arguments: replace(make(*arguments), batch=16)
        extract_features(shop, **media(shop, "images"), on_media=until_told)

    child = fork.Process(target=work)
    child.start()
    assert receive.recv()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert not [*shop.glob("*image*"), *shop.glob("features.json")]
    assert extract_features(shop, **media(shop, "images")).made["image"].computed == ITEMS - 32
    whole = matrix(shop)
    for file in cache.iterdir():
        file.unlink()
    extract_features(shop, **media(shop, "images"))
    np.testing.assert_array_equal(matrix(shop), whole)


# --- whole or not at all ---


def test_features_of_others_are_replaced_with_force_alone(shop, refused, capsys):
    own = np.ones((ITEMS, 3), np.float32)
    np.save(shop / "image_feat.npy", own)
    arguments = ("features", shop, "--images", shop.parent / "pictures")
    refused(*arguments, says="image_feat.npy: is there, and is not what `mmkd features` wrote; .* --with image2=hog")
    np.testing.assert_array_equal(matrix(shop), own)
    assert call(capsys, *arguments, "--with", "image2=hog")[0] == 0
    assert sorted(load(shop).features) == ["image", "image2"]
    assert call(capsys, *arguments, "--force")[0] == 0
    assert call(capsys, *arguments)[0] == 0
    np.save(shop / "image_feat.npy", own)  # by hand since
    refused(*arguments, says="is not what `mmkd features` wrote")


def test_what_cannot_be_written_leaves_what_was_there(shop, monkeypatch):
    own = media(shop, "images")
    extract_features(shop, **own)
    before = {path.name: path.read_bytes() for path in shop.iterdir()}
    (shop.parent / "pictures" / f"{item_id(9)}.png").write_bytes(drawn(999))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.open_memmap", full)
    with pytest.raises(OSError, match=r"image_feat\.npy: cannot be written .No space left on device."):
        extract_features(shop, **own)
    assert {path.name: path.read_bytes() for path in shop.iterdir()} == before


def test_a_row_that_is_no_number_is_listed(shop, monkeypatch):
    image_features = simple.image_features

    def spoilt(batch):
        made = image_features(batch)
        made[7, 0] = np.nan
        return made

    monkeypatch.setattr(simple, "image_features", spoilt)
    extract_features(shop, **media(shop, "images"))
    assert problems(shop) == [[item_id(7), f"{item_id(7)}.png", "its row holds NaN or infinity"]]


def test_progress_is_told(shop):
    told = []
    extract_features(shop, **media(shop, "images", "texts"), on_media=lambda *state: told.append(state))
    assert told[0] == ("image", 1, 60)
    assert told[59:] == [("image", 60, 60), ("text", 60, 60)]


@pytest.mark.parametrize("arguments", [["features", "--help"], ["features"], ["features", "shop", "--pictures", "x"]])
def test_help_and_usage_errors_import_nothing_heavy(arguments):
    program = f"""
import sys
from mmkd_core.__main__ import main
try:
    main({arguments})
finally:
    print("|", *{{"torch", "numpy", "pyarrow", "PIL"}} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.rpartition("|")[2].split(), done.returncode) == ([], 0 if "--help" in arguments else 2)
