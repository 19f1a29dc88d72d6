"""Files that follow a grammar of mistakes: each is read right to the last line, or refused; nothing else happens."""

import json
import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_files import npy, write_good

from mmkd_core.data import SPLITS, DataError, DataWarning
from mmkd_core.datasets import load
from mmkd_core.datasets.text import integers, is_decimal, is_integer
from mmkd_core.settings import QUOTED, quoted

many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
LETTERS = st.sampled_from([*"0123459-+_. \t,e", "１", "٣", "\u00a0", "\u200b", "²", "x", "\u0000"])
INTEGER = re.compile(r"[0-9]{1,18}|-[1-9][0-9]{0,17}")


@pytest.fixture(params=["mmrec", "json"])
def good(request, tmp_path):
    write_good(tmp_path / "d", request.param)
    return tmp_path / "d"


def loaded(folder, **options):
    """The data set, or the message with which the folder is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            return load(folder, **options)
    except DataError as error:
        return str(error)


def pairs_of(data):
    return {tuple(pair) for split in SPLITS for pair in getattr(data, split).tolist()}


@many
@given(st.text(LETTERS, max_size=22))
def test_a_word_is_an_integer_or_none(tmp_path, word):
    assert is_integer(word) == (INTEGER.fullmatch(word) is not None)
    if is_integer(word):
        assert integers([word], tmp_path, [1]).tolist() == [int(word)]
    else:
        with pytest.raises(DataError, match=r", line 7: got .*; expected an integer"):
            integers(["0", word], tmp_path, [1, 7])


@many
@given(st.one_of(st.text(LETTERS, max_size=8), st.floats(width=32).map(repr)))
@example("1e99")
@example("nan")
def test_a_decimal_is_finite_and_what_float_reads(word):
    if is_decimal(word):
        assert word.isascii()
        assert np.isfinite(float(word))
    else:
        assert not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", word, re.ASCII)


field = st.one_of(st.integers(0, 4).map(str), st.text(LETTERS.filter(lambda letter: letter != "\t"), max_size=3))
row = st.one_of(
    st.tuples(*[st.integers(0, 4).map(str)] * 2, st.integers(0, 2).map(str)), st.lists(field, min_size=1, max_size=4)
)


@many
@given(st.lists(row, max_size=6), st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
def test_rows_of_any_fields_are_all_read_or_the_line_is_named(tmp_path, rows, end):
    folder = tmp_path / "rows"
    folder.mkdir(exist_ok=True)
    lines = ["\t".join(fields) for fields in [("userID", "itemID", "x_label"), ("0", "0", "0"), *rows]]
    (folder / "x.inter").write_text(end.join(lines), encoding="utf-8", newline="")
    right = [line for line in lines[1:] if re.fullmatch(r"([0-9]{1,18}\t){2}0*[012]", line, re.ASCII)]
    found = loaded(folder, overlap="drop", compact=True)
    if len(right) < sum(bool(line.strip(" ")) for line in lines[1:]):
        assert re.search(r"x\.inter, line [0-9]+: ", found)
    else:
        pairs = {tuple(map(int, line.split("\t")[:2])) for line in right}
        assert {(int(found.user_ids[u]), int(found.item_ids[i])) for u, i in pairs_of(found)} == pairs


value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 6), st.floats(), st.text(max_size=3), st.integers(10**17)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=2), inner, max_size=3)),
    max_leaves=8,
)
histories = st.dictionaries(
    st.one_of(st.integers(0, 3).map(str), st.text(LETTERS, max_size=3)),
    st.one_of(st.lists(st.integers(0, 4), max_size=4), value),
    max_size=4,
)


@many
@given(st.one_of(value, histories), st.integers(0, 9))
def test_json_of_any_values_is_read_or_the_file_is_named(tmp_path, found, cut):
    folder = tmp_path / "lists"
    folder.mkdir(exist_ok=True)
    (folder / "val.json").write_text("{}")
    (folder / "test.json").write_text("{}")
    text = json.dumps(found)
    (folder / "train.json").write_text(text[: -cut or None])
    data = loaded(folder, overlap="drop", compact=True)
    if isinstance(data, str):
        assert "train.json" in data
    else:
        pairs = {(int(user), item) for user, items in found.items() for item in items}
        assert {(int(data.user_ids[u]), int(data.item_ids[i])) for u, i in pairs_of(data)} == pairs


PIECES = "{ } ( ) [ ] 'descr' 'fortran_order' 'shape' : , '<f4' False True 5 3 -1 ~ \\ \"\"\" 1L lambda:0 * # \u00ff"
piece = st.sampled_from([*PIECES.split(" "), " ", "\t", "\n", "9" * 30])
WHOLE = ["{'descr': ", "'<f4'", ", 'fortran_order': ", "False", ", 'shape': (", "5", ", ", "3", "), }"]


@many
@given(st.lists(piece, max_size=12), st.integers(0, 9), st.integers(0, 9), st.sampled_from([1, 2, 3]))
def test_a_header_of_any_pieces_is_a_matrix_or_an_error(tmp_path, pieces, start, end, version):
    folder = tmp_path / "d"
    if not folder.exists():
        write_good(folder, "mmrec")
    header = "".join([*WHOLE[:start], *pieces, *WHOLE[end:]])
    (folder / "image_feat.npy").write_bytes(npy(header, [version, 0], 60))
    data = loaded(folder)
    assert "image_feat.npy" in data if isinstance(data, str) else data.features["image"].shape == (5, 3)


@many
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), file=st.integers(0, 9))
def test_a_byte_changed_in_any_file_makes_data_or_an_error(good, place, byte, file):
    files = sorted(path for path in good.iterdir() if path.is_file())
    path = files[file % len(files)]
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[place % len(whole)] = byte
    path.write_bytes(changed)
    data = loaded(good, overlap="drop", compact=True)
    path.write_bytes(whole)
    assert "\n" not in data if isinstance(data, str) else len(data.train) > 0


@given(value)
@example(10**5000)
@example("9" * 10**6)
@example([[[10**4400]]])
def test_what_is_quoted_is_short_and_one_line(what):
    assert len(quoted(what)) <= QUOTED
    assert "\n" not in quoted(what)


def test_what_is_a_thousand_deep_is_quoted():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert len(quoted(deep)) <= QUOTED


@pytest.mark.parametrize("name", [None, 5, 1.5, b"demo", ["demo"], object, True])
def test_what_is_no_name_at_all_is_named(name):
    with pytest.raises(
        DataError, match=r"got the data set .*; expected a name, one of \['demo', .* or a folder's path"
    ):
        load(name)


def test_a_root_that_is_none_is_named():
    with pytest.raises(DataError, match="got root=5; expected the folder that holds the data sets"):
        load("small", root=5)
