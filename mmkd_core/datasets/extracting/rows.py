"""The rows of one modality: what is kept of earlier runs, what is computed now, and which media give none."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmkd_core.data import DataError
from mmkd_core.datasets.extracting.extractors import Choice, Extractor
from mmkd_core.datasets.extracting.kept import Kept
from mmkd_core.datasets.extracting.media import NOUNS, Items, Media, Problem
from mmkd_core.settings import quoted

OnMedia = Callable[[str, int, int], Any]


class Run(NamedTuple):
    """How rows are computed."""

    cache: Path
    device: str | None
    strict: bool
    on_media: OnMedia


@dataclass
class Rows:
    """The rows of one modality: what makes them, where they are kept, and under which digest each item's is found."""

    extractor: Extractor
    kept: Kept
    digests: dict[int, bytes]
    broken: dict[bytes, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    computed: int = 0


def computed(choice: Choice, media: Media, items: Items, run: Run, stack: ExitStack) -> Rows:
    """Computes the rows of one modality that are not kept yet, and keeps them; what gives none goes to the problems.

    What keeps them is closed with `stack`. Raises `DataError` where no item would have a row and, with `strict`, where
    one would not.
    """
    extractor = choice.make(run.device)
    problems = dict(media.problems)
    digests = _digests(media, items, problems)
    kept = stack.enter_context(Kept(run.cache / f"{extractor.key([*digests.values()])}.sqlite"))
    rows = Rows(extractor, kept, digests)
    (_fit if extractor.fitted else _compute)(rows, media, run, choice.modality)
    for item, digest in digests.items():
        row = kept.get(digest)
        if row is not None and not row.any():  # of a text, in the words that texts share
            rows.broken[digest] = "no word of it is in another text"
        if digest in rows.broken:
            problems[item] = Problem(items.named(item), media.name(item), rows.broken[digest])
    if problems and (run.strict or len(problems) == len(media.of) + len(media.problems)):
        first = problems[min(problems)]
        raise DataError(
            f"{media.source}: {choice.name} makes nothing of {len(problems):,} {NOUNS[choice.kind]}(s), the first is "
            f"{first.source} of item {quoted(first.item)} ({first.why}); expected {NOUNS[choice.kind]}s to be read"
        )
    for item in {*range(items.count)} - {*digests} - {*problems}:
        problems[item] = Problem(items.named(item), "", f"no {NOUNS[choice.kind]}")
    rows.problems = [problems[item] for item in sorted(problems)]
    rows.digests = {item: digest for item, digest in digests.items() if item not in problems}
    return rows


def _compute(rows: Rows, media: Media, run: Run, modality: str) -> None:
    """Makes and keeps what is not kept yet; with `strict` up to the first that is broken."""
    batch: dict[bytes, Any] = {}
    for done, (item, digest) in enumerate(rows.digests.items(), 1):
        if digest not in batch and rows.kept.get(digest) is None:
            try:
                batch[digest] = rows.extractor.read(media.content(item))
            except Exception as error:  # what strangers' files hold fails in every way
                rows.broken[digest] = _said(error)
        if len(batch) == rows.extractor.batch:
            _keep(rows, [*batch], [*batch.values()])
            batch.clear()
        run.on_media(modality, done, len(rows.digests))
        if run.strict and rows.broken:
            return
    _keep(rows, [*batch], [*batch.values()])


def _fit(rows: Rows, media: Media, run: Run, modality: str) -> None:
    """Makes and keeps the rows of all media, of which each depends on all, unless all are kept."""
    if any(rows.kept.get(digest) is None for digest in rows.digests.values()):
        given = [rows.extractor.read(media.content(item)) for item in rows.digests]
        _keep(rows, [*rows.digests.values()], given)
    run.on_media(modality, len(rows.digests), len(rows.digests))


def _keep(rows: Rows, digests: list[bytes], given: list[Any]) -> None:
    """Makes rows and keeps those that are numbers."""
    if not given:
        return
    made = np.asarray(rows.extractor.encode(given), dtype=np.float32)
    finite = [bool(np.isfinite(row).all()) for row in made]
    for digest, whole in zip(digests, finite, strict=True):
        if not whole:
            rows.broken[digest] = "its row holds NaN or infinity"
    rows.kept.put((digest, row) for digest, row, whole in zip(digests, made, finite, strict=True) if whole)
    rows.computed += sum(finite)


def _digests(media: Media, items: Items, problems: dict[int, Problem]) -> dict[int, bytes]:
    """sha256 of each item's medium; those that cannot be read go to `problems`."""
    digests = {}
    for item in sorted(media.of):
        try:
            digests[item] = hashlib.sha256(media.content(item)).digest()
        except (OSError, ValueError) as error:
            problems[item] = Problem(items.named(item), media.name(item), _said(error))
    return digests


def _said(error: Exception) -> str:
    return quoted(" ".join(str(error).split()))[1:-1] or type(error).__name__
