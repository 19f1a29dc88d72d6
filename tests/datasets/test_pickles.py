"""The restricted unpickler: matrices of every age come in, nothing that a pickle names is run."""

import io
import os
import pickle
import pickletools
import time

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkd_core.data import DataError
from mmkd_core.datasets.pickles import load_matrix

DENSE = np.array([[0, 1, 0], [2, 0, 0], [0, 0, 0], [1, 0, 3]])
KINDS = [sp.coo_matrix, sp.csr_matrix, sp.csc_matrix, sp.coo_array, sp.csr_array, sp.csc_array]


class Calls:
    """Pickles to a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, bool])
def test_every_kind_and_protocol_is_read(tmp_path, kind, protocol, dtype):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(kind(DENSE.astype(dtype)), protocol=protocol))
    assert (load_matrix(path).toarray() == DENSE.astype(dtype)).all()


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (b"scipy.sparse._coo", b"scipy.sparse.coo"),
        (b"scipy.sparse._csr", b"scipy.sparse.csr"),
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),
        (b"numpy._core.multiarray", b"numpy.core._multiarray_umath"),  # numpy 1.16.0
        (b"numpy._core.multiarray", b"numpy._core._multiarray_umath"),
    ],
)
def test_old_module_names_are_read(tmp_path, new, old):
    path = tmp_path / "m.pkl"
    for kind in (sp.coo_matrix, sp.csr_matrix):
        path.write_bytes(pickle.dumps(kind(DENSE), protocol=2).replace(new, old))
        assert (load_matrix(path).toarray() == DENSE).all()


def test_the_other_byte_order_is_read(tmp_path):
    path = tmp_path / "m.pkl"
    matrix = sp.csr_matrix(DENSE)
    matrix.data, matrix.indices = matrix.data.astype(">f8"), matrix.indices.astype(">i4")
    path.write_bytes(pickle.dumps(matrix))
    assert (load_matrix(path).toarray() == DENSE).all()


def test_counts_are_summed_and_stored_zeros_dropped(tmp_path):
    path = tmp_path / "m.pkl"
    matrix = sp.coo_matrix(([1.0, 1.0, 0.0], ([0, 0, 1], [1, 1, 1])), shape=(2, 2))
    path.write_bytes(pickle.dumps(matrix))
    found = load_matrix(path)
    assert found.nnz == 1
    assert found.toarray().tolist() == [[0, 2], [0, 0]]


@pytest.mark.parametrize(
    "function", [os.system, eval, np.load, np.testing.assert_equal, sp.load_npz, np.arange, getattr]
)
def test_a_pickle_that_calls_a_function_is_refused_and_does_not_run(tmp_path, function):
    mark, path = tmp_path / "ran", tmp_path / "evil.pkl"
    argument = f"touch {mark}" if function is os.system else f"open({str(mark)!r}, 'w').close()"
    path.write_bytes(pickle.dumps(Calls(function, argument)))
    with pytest.raises(DataError, match=r"evil\.pkl: refused: it names ") as caught:
        load_matrix(path)
    assert f".{function.__name__}" in str(caught.value)
    assert "expected a pickled scipy.sparse" in str(caught.value)
    assert not mark.exists()


def test_a_call_hidden_inside_a_matrix_is_refused(tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "evil.pkl"
    matrix = sp.coo_matrix(DENSE)
    matrix.extra = Calls(os.system, f"touch {mark}")
    path.write_bytes(pickle.dumps(matrix))
    with pytest.raises(DataError, match=r"evil\.pkl: refused: it names posix\.system|nt\.system"):
        load_matrix(path)
    assert not mark.exists()


def test_a_pickle_cannot_alter_how_the_next_is_read(tmp_path):
    # BUILD with a pair (None, attributes) sets attributes of whatever is on the stack, here of the class itself.
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(b"\x80\x02cscipy.sparse.coo\ncoo_matrix\nN}X\x06\x00\x00\x00layoutX\x03\x00\x00\x00abcs\x86b.")
    pickletools.dis(evil.read_bytes(), out=io.StringIO())  # well formed
    with pytest.raises(DataError, match=r"evil\.pkl"):
        load_matrix(evil)
    good = tmp_path / "good.pkl"
    good.write_bytes(pickle.dumps(sp.coo_matrix(DENSE)))
    assert (load_matrix(good).toarray() == DENSE).all()


def damaged(kind=sp.csr_matrix, **changes):
    matrix = kind(DENSE.astype(float))
    for name, value in changes.items():
        vars(matrix)[name] = value
    return matrix


def twice_so_much(kind, value):
    """A matrix that holds `value` two times at one place; finite, as one reads it."""
    matrix = sp.coo_matrix(([value, value, 1.0], ([0, 0, 1], [1, 1, 1])), shape=(2, 2))
    if kind is sp.coo_matrix:
        return matrix
    made = sp.csr_matrix((2, 2))
    made.data, made.indices, made.indptr = matrix.data, np.array([1, 1, 1]), np.array([0, 2, 3])
    return made


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (
            damaged(indices=np.array([1, 0, 0, 99], dtype=np.int32)),
            "entry 3: item id 99 is out of range; expected 0 to 2",
        ),
        (damaged(indices=np.array([1, 0, -1, 2], dtype=np.int32)), "entry 2: item id -1 is out of range"),
        (damaged(indptr=np.array([0, 9, 2, 2, 4], dtype=np.int32)), "index pointer contradicts 4 rows and 4 entries"),
        (damaged(indptr=np.array([0, 4], dtype=np.int32)), "index pointer contradicts"),
        (damaged(data=np.ones(2)), "expected as many of each"),
        (damaged(data=np.array([1.0, np.nan, 1.0, 1.0])), "entry 1: value nan; expected a count"),
        (damaged(data=np.array([1.0, 1.0, -1.0, 1.0])), "entry 2: value -1.0; expected a count"),
        (damaged(indices=np.ones(4)), "expected a row of integers"),
        (damaged(_shape=(4,)), r"got shape (4,); expected (num_users, num_items)"),
        (damaged(_shape=(2**40, 2**40)), "expected (num_users, num_items)"),
        (damaged(_shape=(4.0, 3.0)), "got shape (4.0, 3.0); expected (num_users, num_items)"),
        (damaged(_shape=(4, 2.9)), "got shape (4, 2.9)"),
        (damaged(_shape=(4, True)), "got shape (4, True)"),
        (damaged(_shape=[4, 3]), "got shape [4, 3]"),
        (damaged(_shape="43"), "got shape '43'"),
        (damaged(_shape=(10**19, 3)), "got shape (10000000000000000000, 3)"),
        (damaged(_shape=(10**30, 3)), "refused: a number of more than 20 digits"),
        (damaged(_shape=(0, 3)), "got shape (0, 3)"),
        (damaged(indptr=np.array([0, 2**63 - 1, -2, 2, 4])), "index pointer contradicts"),
        (twice_so_much(sp.coo_matrix, 1.7e308), "user 0, item 1: values that add up to infinity"),
        (twice_so_much(sp.csr_matrix, np.finfo(np.float64).max), "user 0, item 1: values that add up to infinity"),
        (damaged(data=np.array([object()] * 4)), "got an array of dtype 'O8'"),
        (damaged(indptr=None), "AttributeError"),
        (sp.lil_matrix(DENSE), "refused: it names scipy.sparse._lil.lil_matrix"),
        (sp.coo_array(np.ones(3)), "expected (num_users, num_items)"),
        (DENSE, "got a pickled Array"),
        ([1, 2], "got a pickled list"),
    ],
)
def test_a_matrix_that_contradicts_itself_is_refused(tmp_path, matrix, said):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(matrix))
    with pytest.raises(DataError) as caught:
        load_matrix(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x04\x8c", b"(" * 100_000 + b"."])
def test_what_is_no_pickle_is_refused(tmp_path, content):
    path = tmp_path / "m.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"m\.pkl: .*expected a pickled scipy\.sparse"):
        load_matrix(path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_pickle_is_refused(tmp_path, kept):
    path = tmp_path / "m.pkl"
    whole = pickle.dumps(sp.coo_matrix(np.eye(50)))
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=r"m\.pkl: not a whole pickle"):
        load_matrix(path)


def test_a_missing_pickle_is_named(tmp_path):
    with pytest.raises(DataError, match=r"m\.pkl: cannot be read \(No such file"):
        load_matrix(tmp_path / "m.pkl")


# --- programs that are too much for a matrix ---

PAIRS = {"list": list, "tuple": tuple, "dict": lambda pair: {0: pair[0], 1: pair[1]}}


def doubled(kind, depth):
    """An object that holds the next one twice, `depth` times over: small as a pickle, 2^depth to look at."""
    made = "x"
    for _ in range(depth):
        made = PAIRS[kind]((made, made))
    return made


RECONSTRUCT = np.ones(1).__reduce__()[0]


class State:
    """Pickles to an object of `kind` whose state is set to `state`."""

    def __init__(self, kind, arguments, state):
        self.made = kind, arguments, state

    def __reduce__(self):
        return self.made


def with_dtype(what):
    return damaged(
        data=State(
            RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (4,), State(np.dtype, (what, False, True), None), False, b"")
        )
    )


def with_dtype_order(what):
    dtype = State(np.dtype, ("f8", False, True), (3, what, None, None, None, -1, -1, 0))
    return damaged(data=State(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (4,), dtype, False, b"")))


def with_array_shape(what):
    return damaged(data=State(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, what, np.dtype("f8"), False, b"")))


def with_bytes(what):
    return damaged(data=State(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (4,), np.dtype("f8"), False, what)))


POSITIONS = {
    "dtype": with_dtype,
    "byte order": with_dtype_order,
    "shape of an array": with_array_shape,
    "numbers": with_bytes,
    "shape": lambda what: damaged(_shape=what),
    "attribute": lambda what: damaged(maxprint=what),
    "whole": lambda what: what,
}


@pytest.mark.parametrize("depth", [25, 39, 200])
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_shared_objects_are_counted_wherever_they_stand(tmp_path, position, kind, depth, protocol):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(POSITIONS[position](doubled(kind, depth)), protocol=protocol))
    began = time.process_time()
    with pytest.raises(
        DataError, match=r"m\.pkl: refused: (objects in objects|an object that is part of itself|more tha)"
    ):
        load_matrix(path)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("depth", [30, 40, 60])
def test_a_key_that_takes_for_ever_to_hash_is_never_hashed(tmp_path, depth):
    tuples = b"".join(b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) + b"0" for n in range(depth))
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x02X\1\0\0\0xq\0" + b"0" + tuples + b"}h" + bytes([depth]) + b"K\1s.")
    pickletools.dis(path.read_bytes(), out=io.StringIO())  # well formed
    with pytest.raises(DataError, match=r"m\.pkl: refused: objects in objects"):
        load_matrix(path)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (b"\x80\x02" + b"K\1" * 3000 + b".", "refused: more than 2000 opcodes"),
        (b"\x80\x02" + b"(" * 60_000 + b".", "refused: more than 2000 opcodes"),
        (b"\x80\x02" + b"K\1" + b"\x85" * 100 + b".", "refused: objects in objects, more than 2000 parts or 40 deep"),
        (b"\x80\x02K\1r\xff\xff\xff\x7f.", "refused: LONG_BINPUT 2147483647 at byte 4"),
        (b"K\1p99999999999\n.", "refused: PUT 99999999999"),
        (b"\x80\x02]q\0h\0a.", "refused: an object that is part of itself"),
        (b"\x80\x02}q\0K\1h\0s.", "refused: an object that is part of itself"),
        (b"\x80\x02]q\0]h\0aq\1h\0h\1a0.", "refused: an object that is part of itself"),  # in a circle
        (b"\x80\x02]q\0\x85h\0K\1a0.", "refused: an object that is part of itself, or grows when it is part of"),
        (b"\x80\x02(K\1a.", "not a whole pickle (ValueError: a mark where an object should be)"),
        (b"\x80\x02]2\x86.", "got a pickled tuple"),
        (b"\x80\x02\x82\1.", "refused: opcode EXT1"),
        (b"Pname\n.", "refused: opcode PERSID"),
        (b"\x80\x05\x97.", "refused: opcode NEXT_BUFFER"),
        (b"\x80\x02N.N.", "refused: 2 bytes after the end of the pickle"),
        (b"\x80\x02N." + b"\0" * 99, "refused: 99 bytes after the end of the pickle"),
        (b"I" + b"9" * 400 + b"\n.", "refused: a number of more than 20 digits"),
        (b"I" + b"9" * 5000 + b"\n.", "not a whole pickle (ValueError"),
        (b"L" + b"9" * 5000 + b"L\n.", "not a whole pickle (ValueError"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\1" * 99 + b".", "not a whole pickle"),
        (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "not a whole pickle"),
        (b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.", "not a whole pickle"),
        (b"\x80\x63N.", "not a whole pickle"),
        (b"h\1.", "not a whole pickle (KeyError"),
        (b"0.", "not a whole pickle (IndexError"),
        (b"\x80\x02c_codecs\nencode\nX\1\0\0\0xX\x08\0\0\0punycode\x86R.", "got bytes in the encoding 'punycode'"),
        (b"\x80\x02c" + b"m" * 5000 + b"\nname\n.", "refused: it names mmmm"),
    ],
)
def test_a_program_that_no_matrix_needs_is_refused(tmp_path, program, said):
    path = tmp_path / "m.pkl"
    path.write_bytes(program)
    began = time.process_time()
    with pytest.raises(DataError) as caught:
        load_matrix(path)
    assert time.process_time() - began < 0.5
    message = str(caught.value)
    assert message.startswith(f"{path}: {said}")
    assert "expected a pickled scipy.sparse" in message or "expected latin1" in message
    assert len(message) < 400 + len(str(path))


@pytest.mark.parametrize("raw", [10**9, 2**62, None, [1, 2], (0,) * 32])
def test_numbers_that_are_no_bytes_are_refused_before_any_are_made(tmp_path, raw):
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(with_bytes(raw)))
    with pytest.raises(DataError, match=r"got an array whose numbers are a (int|NoneType|list|tuple)"):
        load_matrix(path)


@given(st.binary(max_size=60))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_at_all_are_read_or_refused(tmp_path, program):
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x04" + program + b".")
    with pytest.raises(DataError):
        load_matrix(path)


@given(st.integers(0, 10**6), st.integers(0, 255))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_changed_anywhere_makes_a_matrix_or_an_error(tmp_path, place, byte):
    path = tmp_path / "m.pkl"
    whole = bytearray(pickle.dumps(sp.csr_matrix(DENSE.astype(float)), protocol=2))
    whole[place % len(whole)] = byte
    path.write_bytes(whole)
    try:
        said = f"{path}: {load_matrix(path).shape}"
    except DataError as error:
        said = str(error)
    assert said.startswith(f"{path}: ")
