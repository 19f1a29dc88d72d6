"""What makes a row of numbers of a picture, a text or a sound: the registry of extractors, by name.

A name alone is an extractor with its own weights; after a colon stand other weights, the name of a model on the hub or
a local folder: `sbert:./my-model`. Before `=` stands the modality that the features are to be: `look=hog`.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from mmkd_core.data import DataError
from mmkd_core.datasets.extracting import pictures, pretrained, simple, sounds
from mmkd_core.settings import quoted

HOG = TFIDF = LOGMEL = 1  # versions: one more when the numbers become others
SIDE = 64  # pixels of what hog sees
TEXT_WIDTH = 128
KINDS = ("image", "text", "audio")
MODALITY = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Extractor:
    """`read` makes of a medium's bytes what `encode` makes rows of, `batch` at a time; both may raise anything.

    One that is `fitted` sees all media at once, and each row depends on all of them. `told` goes into the card, and
    rows of another `told` are never taken for its own.
    """

    told: dict[str, Any]
    read: Callable[[bytes], Any]
    encode: Callable[[Sequence[Any]], Float32[np.ndarray, "item feat"]]
    batch: int = 32
    fitted: bool = False
    device: str | None = None  # of a network

    def key(self, digests: Sequence[bytes]) -> str:
        """Where rows are kept: by extractor, version, weights and, of a fitted one, all that it saw."""
        seen = repr(sorted(self.told.items())).encode() + (b"".join(sorted(digests)) if self.fitted else b"")
        return f"{self.told['extractor']}-{hashlib.sha256(seen).hexdigest()[:16]}"


class Choice(NamedTuple):
    """One kind of media, which extractor reads it with which weights, and the modality that comes of it."""

    kind: str
    name: str
    weights: str | None
    modality: str

    def make(self, device: str | None) -> Extractor:
        """The extractor, its weights found and read. Raises `DataError` where they cannot be."""
        return EXTRACTORS[self.name][self.kind](self.weights, device)


def choices_of(wanted: Sequence[str], given: Sequence[str]) -> list[Choice]:
    """The extractors that the texts in `wanted` name, for the kinds of media that are `given`; simple ones for none.

    Raises `DataError` for a name that is none, one whose media are not given, media that none reads, and two of a
    modality.
    """
    wanted = list(wanted) or [SIMPLE[kind] for kind in given]
    choices = []
    for text in wanted:
        modality, _, rest = text.rpartition("=") if "=" in text.partition(":")[0] else ("", "", text)
        name, colon, weights = rest.partition(":")
        if name not in EXTRACTORS:
            raise DataError(f"unknown extractor {quoted(name)}; one of {[*EXTRACTORS]}")
        if colon and (name in SIMPLE.values() or not weights):
            raise DataError(
                f"got {quoted(text)}; expected weights after the colon of one that has any: {[*PRETRAINED]}"
            )
        if modality and not MODALITY.fullmatch(modality):
            raise DataError(f"got {quoted(text)}; expected a modality of letters, digits, - and _ before =")
        kinds = [kind for kind in EXTRACTORS[name] if kind in given]
        if not kinds:
            options = " or ".join(OPTIONS[kind] for kind in EXTRACTORS[name])
            raise DataError(f"{name} reads what is not given; expected {options}")
        if modality and len(kinds) > 1:
            raise DataError(f"got {quoted(text)}, which makes a modality each of {kinds}; expected no name before it")
        choices += [Choice(kind, name, weights or None, modality or kind) for kind in kinds]
    modalities = [choice.modality for choice in choices]
    if twice := sorted({name for name in modalities if modalities.count(name) > 1}):
        raise DataError(
            f"got two extractors of the modality {quoted(twice[0])}; expected names that tell them apart, such as "
            f"--with look={next(choice.name for choice in choices if choice.modality == twice[0])}"
        )
    if idle := [OPTIONS[kind] for kind in given if kind not in {choice.kind for choice in choices}]:
        raise DataError(f"got {' and '.join(idle)}, which none of {quoted(wanted)} reads; expected one that does")
    return choices


def _hog(_: str | None, __: str | None) -> Extractor:
    def encode(batch: Sequence[Any]) -> np.ndarray:
        return simple.image_features(np.stack(batch))

    return Extractor(_simple("hog", HOG), lambda content: pictures.squeezed(content, SIDE), encode, 256)


def _tfidf(_: str | None, __: str | None) -> Extractor:
    def encode(texts: Sequence[str]) -> np.ndarray:
        try:
            return simple.text_features(texts, TEXT_WIDTH)
        except ValueError as error:
            raise DataError(
                f"no word is in two of the {len(texts):,} texts ({error}); expected texts in words"
            ) from None

    return Extractor(_simple("tfidf", TFIDF), bytes.decode, encode, fitted=True)


def _logmel(_: str | None, __: str | None) -> Extractor:
    def encode(batch: Sequence[Any]) -> np.ndarray:
        return np.concatenate([simple.audio_features(samples[None], sounds.RATE) for samples in batch])

    least = simple.frame_of(sounds.RATE)
    return Extractor(_simple("logmel", LOGMEL), lambda content: sounds.sound(content, least), encode)


def _simple(name: str, version: int) -> dict[str, Any]:
    return {"extractor": name, "version": version, "weights": None, "sum": None}


def _pretrained(loaded: Callable[..., pretrained.Network]) -> Callable[[str | None, str | None], Extractor]:
    def make(weights: str | None, device: str | None) -> Extractor:
        network = loaded(weights, device)
        told = {"extractor": network.name, "version": 1, "weights": network.weights, "sum": network.sum}
        return Extractor(told, network.read, network.encode, network.batch, device=network.device)

    return make


EXTRACTORS: dict[str, dict[str, Callable[[str | None, str | None], Extractor]]] = {
    "hog": {"image": _hog},
    "tfidf": {"text": _tfidf},
    "logmel": {"audio": _logmel},
    "efficientnet": {"image": _pretrained(pretrained.efficientnet)},
    "clip": {"image": _pretrained(pretrained.clip_pictures), "text": _pretrained(pretrained.clip_texts)},
    "sbert": {"text": _pretrained(pretrained.sbert)},
}
SIMPLE = {"image": "hog", "text": "tfidf", "audio": "logmel"}
PRETRAINED = [name for name in EXTRACTORS if name not in SIMPLE.values()]
OPTIONS = {"image": "--images", "text": "--texts", "audio": "--audio"}
