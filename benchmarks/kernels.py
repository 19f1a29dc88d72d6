"""How many kernels a training step starts: the operators that reach a device, counted while it runs."""

from collections import Counter

import torch
from torch._library.custom_ops import OPDEFS
from torch.utils._python_dispatch import TorchDispatchMode

# What only allocates memory, names it anew, or asks for its kind.
ALLOCATES = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "lift_fresh", "detach", "alias"}
ALLOCATES |= {"promote_types"}


class Kernels(TorchDispatchMode):
    """Counts the operators that reach a device by name, those inside the library's own as well; views are none."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        namespace, name = func._schema.name.split("::")
        if namespace == "mmkd":
            with self:
                return OPDEFS[func._schema.name]._init_fn(*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        if not (func.is_view or name.startswith(("_record_function", "_local_scalar")) or name in ALLOCATES):
            self.counts[name] += not _shares(out, args)
        return out


def _shares(out, args):
    """Whether an operator that torch does not call a view gave one all the same (a `reshape` of what is in order)."""
    return isinstance(out, torch.Tensor) and out._is_view() and any(out._base is a for a in args)
