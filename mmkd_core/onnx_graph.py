"""From a user's row to a list as an ONNX graph: inner products, seen items out, the largest K.

It is put together node by node with the package `onnx`, which is imported when it is asked for.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

OPSET, IR = 17, 8  # of 2022: what serves need not be new
LARGEST = 2**31 - 2**20  # bytes of a table that a file of protobuf can hold


def check_onnx(k: int, num_items: int) -> None:
    """Raises `ValueError` for lists of a length that cannot be, and where the package is not installed."""
    if not 1 <= k <= num_items:
        raise ValueError(f"k={k} for a catalogue of {num_items} items; expected 1 to {num_items}")
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError("recommend.onnx needs the package onnx; pip install 'mmkd-book[export]'") from None


def write_onnx(path: Path, items: Float[np.ndarray, "item dim"], k: int) -> None:
    """Writes a graph that lists the best `k` of `items`, a table in float32 or float16, for a batch of users.

    Inputs: `user` (batch, dim) float32, rows of the users' table; `seen` (batch, item) bool, True where an item is to
    be left out. Outputs: `scores` (batch, k) float32, largest first, and `items` (batch, k) int64; a score of minus
    infinity marks a place for which no item is left. Raises `ValueError` for a table beyond 2 GB.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save  # pyright: ignore[reportMissingImports]

    if items.nbytes > LARGEST:
        raise ValueError(f"{path.name}: got a table of {items.nbytes:,} bytes; expected under 2 GB, try --float16")
    number, dim = items.shape
    constants = {"table": items.T, "nothing": np.float32(-np.inf), "k": np.array([k], np.int64)}
    nodes = [
        helper.make_node("Cast", ["table"], ["columns"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["user", "columns"], ["all"]),
        helper.make_node("Where", ["seen", "nothing", "all"], ["left"]),
        helper.make_node("TopK", ["left", "k"], ["scores", "items"]),
    ]
    graph = helper.make_graph(
        nodes,
        "recommend",
        [
            helper.make_tensor_value_info("user", TensorProto.FLOAT, ["batch", dim]),
            helper.make_tensor_value_info("seen", TensorProto.BOOL, ["batch", number]),
        ],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", k]),
            helper.make_tensor_value_info("items", TensorProto.INT64, ["batch", k]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="mmkd")
    checker.check_model(model, full_check=True)
    save(model, path)
