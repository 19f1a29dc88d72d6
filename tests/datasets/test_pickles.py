"""The restricted unpickler: matrices of every age come in, nothing that a pickle names is run."""

import io
import os
import pickle
import pickletools

import numpy as np
import pytest
import scipy.sparse as sp

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
