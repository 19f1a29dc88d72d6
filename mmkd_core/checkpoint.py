"""A training that goes on where its process died: all of its state in one file, whole or not at all.

The file is safetensors, so nothing is unpickled when it is read. Tensors are the model, the best state so far, AdamW's
moments and the generators; the rest (whose it is, the epoch, the history, the cost so far) is JSON in the metadata. A
checksum covers both, because safetensors has none.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mmkd_core.cost import Meter, added
from mmkd_core.data import Dataset
from mmkd_core.files import write_whole
from mmkd_core.settings import quoted

FORMAT = 1  # of the file; it is part of whose a checkpoint is
REMEDY = "delete it to begin anew"


class Resumed(NamedTuple):
    """How far a training was, beyond what was put back in place: its history, its best state, its patience left."""

    epoch: int
    history: dict[str, Any]
    best: dict[str, Tensor]
    patience_left: int


class Checkpoint:
    """The file that keeps the state of one training: of the model, the optimiser and the generator that are given.

    `owner` says whose it is: see `owner_of`. Dropout's generators, which are torch's global ones, are kept as well.
    """

    def __init__(
        self,
        path: Path,
        owner: Mapping[str, Any],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        self.path, self.owner = path, dict(owner) | {"format": FORMAT, "device": generator.device.type}
        self.model, self.optimizer, self.generator = model, optimizer, generator
        self.meter, self.earlier = Meter(generator.device), {}

    def write(self, epoch: int, history: Mapping[str, Any], best: Mapping[str, Tensor], patience_left: int) -> None:
        """Replaces the file by the state after `epoch`; raises `OSError` where it cannot, and what was there stays.

        `history` has the fields of a `History`. Where this epoch is its best one, the best state is the model's own and
        is not written a second time.
        """
        moments = self.optimizer.state_dict()["state"]
        tensors = _under("model", self.model.state_dict()) | _under("generator", self._generators())
        tensors |= {f"moments.{index}.{name}": x for index, state in moments.items() for name, x in state.items()}
        if history["best_epoch"] != epoch:
            tensors |= _under("best", best)
        cost = added(self.earlier, self.meter.read())
        header = {"owner": self.owner, "epoch": epoch, "patience_left": patience_left, "cost": cost}
        write_tensors(self.path, tensors, json.dumps(header | {"history": dict(history)}))

    def resume(self) -> Resumed | None:
        """Puts the state of the file, if there is one, back into model, optimiser and generators.

        Raises `ValueError`, before anything is changed, for a file that is damaged or belongs to another training.
        """
        if (content := read(self.path)) is None:
            return None
        header, tensors = content
        name, there, here = _difference(header["owner"], json.loads(json.dumps(self.owner)))
        if there != here:
            raise ValueError(
                f"{self.path}: the checkpoint of another training, {name}={quoted(there)} there, {quoted(here)} here; "
                f"go on with what it had, keep this training in another file, or {REMEDY}"
            )
        state = _below("model", tensors)
        if _shapes(state) != _shapes(self.model.state_dict()):
            raise ValueError(f"{self.path}: its tables are not those of this model; {REMEDY}")
        self.model.load_state_dict(state)
        moments: dict[int, dict[str, Tensor]] = {}
        for path, x in _below("moments", tensors).items():
            index, _, name = path.partition(".")
            moments.setdefault(int(index), {})[name] = x
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self._set_generators(_below("generator", tensors))
        device = self.generator.device
        best = {name: x.to(device) for name, x in (_below("best", tensors) or state).items()}
        self.earlier = header["cost"]
        return Resumed(header["epoch"], header["history"], best, header["patience_left"])

    def _generators(self) -> dict[str, Tensor]:
        device = self.generator.device
        states = {"batches": self.generator.get_state(), "cpu": torch.get_rng_state()}
        return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})

    def _set_generators(self, states: Mapping[str, Tensor]) -> None:
        self.generator.set_state(states["batches"])
        torch.set_rng_state(states["cpu"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.generator.device)


def owner_of(
    model: nn.Module, data: Dataset, training: Mapping[str, Any], pairs: Int[Tensor, "_ 2"] | None = None
) -> dict[str, Any]:
    """What a checkpoint belongs to, as JSON: model and settings (its teacher's too), training, data, `pairs`."""
    settings = {name: part.settings for name, part in model.named_modules() if hasattr(part, "settings")}
    chosen = None if pairs is None else _checksum({"pairs": pairs.cpu()})
    owner = {"model": type(model).__name__, "settings": settings, "training": dict(training)}
    return owner | {"data": data.fingerprint, "pairs": chosen}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: str | None = None) -> None:
    """Writes tensors, with a header of JSON, as safetensors: whole or not at all; raises `OSError` as `write_whole`.

    They may lie anywhere and share their storage.
    """
    kept: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        x = tensor.detach().cpu().contiguous()
        storage = x.untyped_storage().data_ptr()
        kept[name] = x.clone() if storage in storages else x  # safetensors refuses what shares its storage
        storages.add(storage)
    metadata = None if header is None else {"header": header, "checksum": _checksum(kept, header)}
    # `save_file` would write a temporary file of its own, which nobody sweeps
    write_whole(path, lambda temporary: temporary.write_bytes(save(kept, metadata)))


def read_header(path: Path) -> dict[str, Any]:
    """The JSON of a checkpoint (its `epoch`, its `cost` so far), its tensors unread; empty where there is no file."""
    content = read(path, whole=False)
    return content[0] if content else {}


def read(path: Path, *, whole: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The header of a checkpoint, and its tensors on the CPU; None where there is no file.

    Raises `ValueError` for a file that is no checkpoint or is damaged; of the tensors that shows where they are read.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            text = metadata["header"]
            tensors = {name: file.get_tensor(name).clone() for name in (file.keys() if whole else ())}
        if whole and _checksum(tensors, text) != metadata["checksum"]:
            raise ValueError("its checksum is not that of its content")
        return json.loads(text), tensors
    except FileNotFoundError:
        return None
    except KeyError as error:
        reason = f"no {error} in it"
    except OSError as error:
        raise OSError(
            f"{path}: cannot be read ({error.strerror or error}); expected a file that may be read"
        ) from error
    except (ValueError, SafetensorError) as error:
        reason = str(error)
    raise ValueError(f"{path}: damaged, or no checkpoint ({reason}); expected what a training wrote: {REMEDY}")


def _checksum(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """CRC-32 of a text and of names, kinds, shapes and bytes."""
    crc = zlib.crc32(text.encode())
    for name in sorted(tensors):
        x = tensors[name]
        crc = zlib.crc32(f"{name} {x.dtype} {tuple(x.shape)}".encode(), crc)
        crc = zlib.crc32(x.contiguous().reshape(-1).view(torch.uint8).numpy().data, crc)
    return f"{crc:08x}"


def _under(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}.{name}": x for name, x in tensors.items()}


def _below(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(part) + 1 :]: x for name, x in tensors.items() if name.startswith(f"{part}.")}


def _difference(there: Any, here: Any, name: str = "") -> tuple[str, Any, Any]:
    """Where two nested values first differ: the names that lead there, with dots, and what stands there in both."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in (*here, *there):
            if there.get(key) != here.get(key):
                return _difference(there.get(key), here.get(key), ".".join(filter(None, (name, key))))
    return name, there, here


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.dtype, torch.Size]]:
    return {name: (x.dtype, x.shape) for name, x in tensors.items()}
