"""Whose a picture or a title is: one rule for features, the report and the service."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from mmkd_core.data import DataError
from mmkd_core.datasets.extracting.media import Items, files_of
from mmkd_core.datasets.extracting.pictures import SUFFIXES
from mmkd_core.serving.shown import KINDS, shown_of
from mmkd_core.shown import find_pictures, read_titles

IDS = ["a", "a/b", "café", "shot.jpg", "7", "100%", "none"]
FILES = {  # of a picture, and whose it is
    "a.png": "a",
    "deep/er/a%2Fb.PNG": "a/b",
    "cafe\u0301.webp": "café",
    "shot.jpg": "shot.jpg",
    "7.gif": "7",
    "100%.bmp": "100%",
    ".none.png": None,
    ".hidden/none.png": None,
    "none.txt": None,
    "other.png": None,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".txt"):
            (folder / name).write_text("no picture")
        else:
            Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(folder / name)
    return folder


def test_a_folder_of_pictures_means_the_same_to_all(folder, recwarn):
    own = {item: folder / name for name, item in FILES.items() if item is not None}
    assert find_pictures(folder, dict.fromkeys(IDS), SUFFIXES) == own
    media = files_of(folder, "image", SUFFIXES, Items(len(IDS), pa.array(IDS)))
    assert {IDS[number]: path for number, path in media.of.items()} == own
    assert media.unknown == ["other.png"]
    shown = shown_of(dict.fromkeys(IDS), None, folder)
    assert shown.pictures == {item: (path, KINDS[path.suffix.lower()]) for item, path in own.items()}
    assert [str(note.message) for note in recwarn] == [f"{folder}: 6 of 7 items have a picture"]


def test_an_id_to_the_letter_goes_before_what_it_might_mean(tmp_path):
    for name in ("a%2Fb.png", "b.png", "b.png.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    found = find_pictures(tmp_path, ["a%2Fb", "a/b", "b", "b.png"], SUFFIXES)
    assert {item: path.name for item, path in found.items()} == {
        "a%2Fb": "a%2Fb.png", "b": "b.png", "b.png": "b.png.png"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "titles"),
    [
        ("two.csv", 'asin,name\na,"One,  two"\nb,\n', {"a": "One, two", "b": "b"}),
        ("many.csv", "year,title,item\n1999,One,a\n\n2000,Two,b\n", {"a": "One", "b": "Two"}),
        ("turned.csv", "title,item\nOne,a\n", {"a": "One"}),
        ("tab.TSV", 'item\ttitle\na\t"Quoted" is a word\n', {"a": '"Quoted" is a word'}),
        ("long.csv", f"item,title\na,{'x' * 300}\n", {"a": "x" * 200}),
    ],
)
def test_titles_are_read_by_name_or_from_two_columns(name, text, titles, tmp_path):
    (tmp_path / name).write_text("\ufeff" + text, encoding="utf-8")
    assert read_titles(tmp_path / name) == titles


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("three.csv", "id,title,year\na,b,1\n", r"got the columns \['id', 'title', 'year'\]"),
        ("again.csv", "item,item,title\na,b,c\n", r"got the columns \['item', 'item', 'title'\]"),
        ("twice.csv", "item,title\na,1\na,2\n", "row 3: the id 'a' stands twice"),
        ("ragged.csv", "item,title\na,1\nb\n", "row 3: got 1 fields; expected 2"),
        ("bare.csv", "item,title\n", "got no row"),
        ("kind.json", "{}", "expected a .csv or .tsv file"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_of_titles_is_refused(name, text, says, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=says):
        read_titles(tmp_path / name)
