"""`extract_features`: the pictures, texts and sounds of a data folder's items become the features that `load` reads."""

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmkd_core.data import DataError, DataWarning
from mmkd_core.datasets.extracting import pictures, sounds
from mmkd_core.datasets.extracting.card import Made, read_card, write_card
from mmkd_core.datasets.extracting.extractors import KINDS, Choice, Extractor, choices_of
from mmkd_core.datasets.extracting.kept import cache_folder
from mmkd_core.datasets.extracting.media import NOUNS, Items, Media, Problem, files_of, write_problems
from mmkd_core.datasets.extracting.rows import OnMedia, Rows, Run, computed
from mmkd_core.datasets.extracting.texts import texts_of
from mmkd_core.datasets.features import FEATURES
from mmkd_core.datasets.files import visible
from mmkd_core.datasets.ids import read_ids
from mmkd_core.datasets.layouts import detect, load_folder
from mmkd_core.files import IDS, sha256_of, write_whole
from mmkd_core.settings import quoted

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pillow")
OF_NETWORKS = ("torch", "transformers", "sentence-transformers")


class Extracted(NamedTuple):
    """What was made of each modality, which items have no row and why, the media by kind, and what the items are."""

    made: dict[str, Made]
    problems: dict[str, list[Problem]]
    media: dict[str, Media]
    items: Items


def extract_features(
    folder: Path | str,
    *,
    images: Path | str | None = None,
    texts: Path | str | None = None,
    audio: Path | str | None = None,
    extractors: Sequence[str] = (),
    id_column: str | None = None,
    text_columns: Sequence[str] = (),
    cache: Path | str | None = None,
    device: str | None = None,
    strict: bool = False,
    force: bool = False,
    on_media: OnMedia = lambda modality, done, total: None,
) -> Extracted:
    """Features of the items of a data folder, a row for each, from their pictures, texts and sounds; written into it.

    `folder` is what `import_log` wrote or a folder of another layout, whose items are called as in ids.parquet or,
    where there is none, by their numbers. `images` and `audio` are folders of files whose stem is an item's id, `texts`
    is a table with a column of ids and others of texts (`id_column`, `text_columns`, see `texts_of`). `extractors` are
    names as `choices_of` reads them; without any hog, tfidf and logmel. What is written: `<modality>_feat.npy`, float32
    of shape (num_items, width), which `load` takes for a modality; `<modality>_problems.csv`, where an item has no row;
    features.json, the card.

    An item without a medium, or with one that cannot be read, has a row of zeros, which is how a missing modality is
    written, and is told of. With `strict` it is an error. Rows are kept in `cache` (else in the folder that
    MMKD_FEATURES_CACHE names or the user's cache) by the sha256 of their medium, extractor, version and weights: a
    second run computes what is new, and a run that was killed goes on. `device` is where networks run (a GPU if there
    is one). A file that no such run wrote is replaced with `force` alone. `on_media(modality, done, total)` is called
    for each medium.

    Raises `DataError` for what is given and cannot be read or understood, for a modality that is there already, and
    where no item would have a row; `OSError` where nothing can be written. Each file is whole or not there.
    """
    folder = Path(folder).expanduser()
    given = {kind: Path(path).expanduser() for kind, path in zip(KINDS, (images, texts, audio), strict=True) if path}
    if not given:
        raise DataError("got no media; expected images, texts or audio (`--images DIR --texts TABLE --audio DIR`)")
    if "text" not in given and (id_column is not None or text_columns):
        raise DataError("got columns and no texts; expected the table that has them (`--texts TABLE`)")
    choices = choices_of(extractors, [*given])
    items = _items(folder)
    before = read_card(folder)
    _check_free(folder, choices, {} if force else before, force)
    media = {kind: _media(kind, path, items, id_column, text_columns) for kind, path in given.items()}
    if strict:
        _check_complete(media, items)
    extracted, run = Extracted({}, {}, media, items), Run(cache_folder(cache), device, strict, on_media)
    with ExitStack() as stack:
        rows = {choice: computed(choice, media[choice.kind], items, run, stack) for choice in choices}
        for choice, own in rows.items():
            _write(folder, choice, own, extracted)
    write_card(folder, before | extracted.made)
    return extracted


def _items(folder: Path) -> Items:
    """The items of a data folder. Raises `DataError` for a folder of which `load` would say so, or of entities."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one of data, such as `mmkd import` writes")
    if "megcf" in detect(folder):
        raise DataError(
            f"{folder}: the layout megcf has no files for rows of numbers; expected another, such as mmrec: make one "
            "of your log by `mmkd import`"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        data = load_folder(folder, folder.resolve().name)
    ids = read_ids(folder / IDS, data).items if (folder / IDS).exists() else None
    return Items(data.num_items, ids)


def _check_free(folder: Path, choices: Sequence[Choice], known: dict[str, Made], force: bool) -> None:
    """Raises `DataError` where a modality has a file that an earlier run did not write, or that was changed since."""
    for choice in choices:
        own = folder / f"{choice.modality}_feat.npy"
        others = [path for path in visible(folder, "*.npy") if path.stem == choice.modality]
        if others:
            raise DataError(f"{folder}: {others[0].name} is the modality {choice.modality} already; move it away first")
        made = known.get(choice.modality)
        if own.exists() and not force and (made is None or made.sha256 != sha256_of(own)):
            raise DataError(
                f"{own}: is there, and is not what `mmkd features` wrote; expected no such file: replace it by "
                f"--force, or call the new one otherwise, such as --with {choice.modality}2={choice.name}"
            )


def _media(kind: str, path: Path, items: Items, id_column: str | None, columns: Sequence[str]) -> Media:
    if kind == "text":
        return texts_of(path, items, id_column, columns)
    return files_of(path, kind, pictures.SUFFIXES if kind == "image" else sounds.SUFFIXES, items)


def _check_complete(media: dict[str, Media], items: Items) -> None:
    """Raises `DataError` for the first item that lacks a medium."""
    for kind, own in media.items():
        lacking = [item for item in range(items.count) if item not in own.of]
        if lacking:
            raise DataError(
                f"{own.source}: {len(lacking):,} of {items.count:,} items have no {NOUNS[kind]}, the first is "
                f"{quoted(items.named(lacking[0]))}; expected one each: without --strict such a row is zero"
            )


def _write(folder: Path, choice: Choice, rows: Rows, out: Extracted) -> None:
    """Writes a modality's matrix and problems, and notes what was made."""
    path = folder / FEATURES.replace("*", choice.modality)
    first = next(rows.kept.get(digest) for digest in rows.digests.values())
    width = 0 if first is None else len(first)

    def write(temporary: Path) -> None:
        # Row by row into the file: no more than one is in memory.
        matrix = np.lib.format.open_memmap(temporary, "w+", np.dtype(np.float32), (out.items.count, width))
        for item, digest in rows.digests.items():
            matrix[item] = rows.kept.get(digest)
        matrix.flush()

    write_whole(path, write)
    media, problems, told = out.media[choice.kind], rows.problems, rows.extractor.told
    out.problems[choice.modality] = problems
    write_problems(folder / f"{choice.modality}_problems.csv", problems)
    without = sum(not problem.source for problem in problems)
    out.made[choice.modality] = Made(
        modality=choice.modality, kind=choice.kind, file=path.name, sha256=sha256_of(path), width=width,
        items=out.items.count, **told, source=media.source.name, found=len(rows.digests), without=without,
        broken=len(problems) - without, unknown=len(media.unknown), again=len(media.again), computed=rows.computed,
        device=rows.extractor.device, libraries=_libraries(rows.extractor),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def _libraries(extractor: Extractor) -> dict[str, str]:
    found = {}
    for name in LIBRARIES if extractor.device is None else LIBRARIES + OF_NETWORKS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
