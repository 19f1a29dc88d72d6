"""The named data sets: what each is, where it comes from, which sums its files have, and how a copy is found."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pooch

from mmkd_core.data import DataError, quoted
from mmkd_core.datasets import ml_100k
from mmkd_core.datasets.files import readable
from mmkd_core.datasets.layouts import LAYOUTS, detect, load_folder
from mmkd_core.datasets.remote import NotFetchedError, retrieve_all, sum_problem
from mmkd_core.datasets.shapes import SHAPES

DIFFMM = "HKUDS/DiffMM/fae20e642aeeaad4284be6f7fb3432ebb551da8e/Datasets/tiktok/"
SWAP = "swapUniba/multimodal_ml1m_dbbook_lfm2k/e8c90c3f93ed14753fec4905d37c401de2255160/4_mmrec/data/lfm2k/"
MEGCF = "hfutmars/MEGCF/3022b330a2089664bd45b3d498e88129b3415b62/Data/amazon-beauty/"
GITHUB = "https://raw.githubusercontent.com/"

# text_feat.npy of DiffMM's TikTok is left out: its sum is not known. Whoever puts it beside these gets it loaded.
TIKTOK = {
    "trnMat.pkl": "1efbc49d1a7ce5268f01e3e0c558df1f8f8644628c76aa6536be4ec61d256916",
    "valMat.pkl": "b6971ed696613d565613dd74b101c45b2aa002b66e8ba99cad03abf04db2397b",
    "tstMat.pkl": "e83a93787d88728572dbdd5b131bae01a90e17c340820e7b8f0a7c27e69d6f9e",
    "image_feat.npy": "f6c1ec1726ed2aa80315411199ab2143bee6333821bf58c5f00bd3f5b462efc2",
    "audio_feat.npy": "d45a44a9d462f578802de914c2feea5cfd45742b2922775a085b9bdc1beba26f",
}
LFM2K = {
    "lfm2k.inter": "a555d4b0bfabe0a11d1758c667eb9a29e574a60bd563848a73f5a6fccda1b0f9",
    "all-MiniLM-L6-v2.npy": "b21e98a91fc4ec11e879615f3c47b6f15bdb6e3b7c0d2a9cf0b8008ec83c46b0",
    "vggish.npy": "50dfedcc27f88929006bc4f425c94c55aa4bce177749b2f93e55fb3d8ac4018c",
    "whisper.npy": "2a2690ff74430711e5a9e22889b5b40cc1b931f6250f25501192d7d63cf98995",
}
BEAUTY = {
    "train.txt": "797631b6a4bcd9c6674afc309603fc3b24e8089e96f66767be737407f5ec92de",
    "validation.txt": "25d549f1412338d77041e534f1b13dc1deebb995c789d3d18d80852ca57bcf9d",
    "test.txt": "232cc27d05ca299ad45324d213adbbddb19b67609ca1212ee7f054a213712517",
    "i2e_visual.txt": "d306b6e673fedf653c7f05771f407b0503c01e06e7f197d66328e02047d5ca27",
    "i2e_title.txt": "796931323bcc9a1b4a740301f8ca1d73402c3ebd74106660d92e56ea8e5913b0",
}
# What load_megcf makes of those, in MMRec's layout.
BEAUTY_DERIVED = {
    "amazon-beauty.inter": "5bc85f6f85f2229d301d61fee55ef294dfb3102545018161e1d1111846abb240",
    "image_feat.npy": "0899dfbc75ec5c19db6532db715f665615ce7311ea39edd5d45e3bd827160f11",
    "text_feat.npy": "8ac4c8b673deb8cbd519f0f9f39c700f9a885cf16a1785982c534673d497aa12",
}


LONGEST = 4000  # characters of a path that a file system takes


@dataclass(frozen=True)
class Entry:
    """A named data set; `title` is its name in prose.

    `forms` are the sets of files (name -> sha256) that it is known in; any one of them is the whole data set, and
    the first names what to put into a folder by hand. `download` fills a folder with one of them. `layout` is that
    of the first form. A data set without forms is made, not read.
    """

    name: str
    title: str
    summary: str
    source: str
    terms: str
    layout: str
    forms: tuple[Mapping[str, str], ...] = ()
    download: Callable[[Path], None] | None = field(default=None, repr=False)

    @property
    def sums(self) -> dict[str, str]:
        """The sha256 of every known file."""
        return {file: sha256 for form in self.forms for file, sha256 in form.items()}

    def missing(self, folder: Path) -> list[str]:
        """What `folder` lacks of a form: of one that it holds whole nothing, else of the one it holds most of."""
        lacks = [[file for file in form if not (folder / file).is_file()] for form in self.forms]
        held = [len(form) - len(lack) for form, lack in zip(self.forms, lacks, strict=True)]
        return [] if [] in lacks else lacks[held.index(max(held))]

    def present(self, folder: Path) -> list[str]:
        """The known files that `folder` holds."""
        return [file for file in self.sums if (folder / file).is_file()]


CATALOGUE: dict[str, Entry] = {
    "demo": Entry(
        "demo",
        "Demo",
        "a small streaming catalogue with posters, captions and sounds: image, text, audio",
        "generated from a seed",
        "MIT, as this library",
        "none: nothing is read",
    ),
    "tiktok": Entry(
        "tiktok",
        "TikTok",
        "9,308 users × 6,710 videos, 68,722 interactions: image, audio (that of MMSSL and DiffMM, not the paper's)",
        f"{GITHUB}{DIFFMM}",
        "no licence stated; research use",
        "diffmm",
        (TIKTOK,),
        partial(retrieve_all, GITHUB + DIFFMM, TIKTOK),
    ),
    "lfm2k": Entry(
        "lfm2k",
        "LFM-2K",
        "1,858 users × 1,425 artists of Last.fm, 56,345 interactions: text (MiniLM), audio (VGGish, Whisper)",
        f"{GITHUB}{SWAP}",
        "Last.fm HetRec 2011: non-commercial use",
        "mmrec",
        (LFM2K,),
        partial(retrieve_all, GITHUB + SWAP, LFM2K),
    ),
    "amazon-beauty": Entry(
        "amazon-beauty",
        "Amazon-Beauty",
        "15,576 users × 8,678 products, 139,318 interactions: image and text as TF-IDF of entities",
        f"{GITHUB}{MEGCF}",
        "no licence stated; research use",
        "megcf",
        (BEAUTY, BEAUTY_DERIVED),
        partial(retrieve_all, GITHUB + MEGCF, BEAUTY),
    ),
    "ml-100k": Entry(
        "ml-100k",
        "MovieLens-100K",
        "943 users × 1,682 movies, 55,375 ratings of 4 or 5 stars: text (title, genres), attributes (genres, year)",
        f"the wheel {ml_100k.WHEEL} on the package index, {ml_100k.WHEEL_FOLDER}/, or {ml_100k.ARCHIVE}",
        ml_100k.TERMS,
        "GroupLens' own, or RecBole's",
        (ml_100k.RECBOLE, ml_100k.GROUPLENS),
        ml_100k.download,
    ),
}


def title_of(name: str) -> str:
    """What prose calls a data set: its title in the catalogue, or the paper's name for a shape; else its own name."""
    return CATALOGUE[name].title if name in CATALOGUE else name.capitalize() if name in SHAPES else name


class Found(NamedTuple):
    """A folder and whether its files are the known ones; else it is the user's own data under a known name."""

    folder: Path
    known: bool


def locate(name: str, root: Path | str | None = None, download: bool = True) -> Found:
    """Where the files of the named data set are: `root/name`, or `MMKD_DATA/name`, then the cache; else fetched.

    A fetched copy goes to `root/name` or, without a root, to the cache. Raises one `DataError` when the files are
    nowhere to be had: it names them, where to put them and where they come from; or when a file's sum is wrong.
    """
    entry = CATALOGUE[name]
    places = _places(name, root)
    for folder in places:
        if _is_own(entry, folder):
            return Found(folder, known=False)
        if folder.is_dir() and not entry.missing(folder):
            _verify(entry, folder)
            return Found(folder, known=True)
    reason = "not allowed to with download=False"
    if download and entry.download is not None:
        try:
            entry.download(places[-1])
        except (NotFetchedError, OSError) as error:
            reason = str(error)
        else:
            _verify(entry, places[-1])
            return Found(places[-1], known=True)
    lacks = "; ".join(f"{folder} lacks {', '.join(entry.missing(folder))}" for folder in places)
    raise DataError(
        f"{name}: not found ({lacks}) and not fetched ({reason}); put {', '.join(entry.forms[0])} into "
        f"MMKD_DATA/{name}/, MMKD_DATA being an environment variable; they come from {entry.source}"
    )


def fetch(name: str, *, root: Path | str | None = None) -> Path:
    """The folder of the named data set, fetched if need be. Raises `DataError` as `locate` does."""
    name = path_of(name)
    if not _entry(name).forms:
        raise DataError(f"{name}: nothing to fetch, it is {CATALOGUE[name].source}; load it by its name")
    return locate(name, expanded(root)).folder


def check(name: str | Path, *, root: Path | str | None = None, **options: Any) -> list[tuple[str, str]]:
    """(file, "ok" or what is wrong) for the files of a named data set, against their sums, or of a folder, by loading.

    A folder is loaded with the `options` of `load_folder`. Nothing is fetched. Empty for a data set that is made, not
    read. Raises `DataError` for an unknown name.
    """
    name, root = path_of(name), expanded(root)
    if name in CATALOGUE:
        entry = CATALOGUE[name]
        if not entry.forms:
            return []
        places = _places(entry.name, root)
        folder = next((place for place in places if entry.present(place)), places[0])
        files = entry.present(folder) + entry.missing(folder)
        return [(str(folder / file), sum_problem(folder / file, entry.sums[file]) or "ok") for file in files]
    folder = folder_of(name, root or expanded(os.environ.get("MMKD_DATA")))
    try:
        with readable(name):
            data = load_folder(folder, **options)
    except DataError as error:
        return [(name, str(error))]
    return [(file, "ok") for file in dict.fromkeys(data.sources.values())]


def path_of(name: object) -> str:
    """The name or path as text, `~` expanded. Raises `DataError` for what is neither, and for what no file can have."""
    try:
        text = os.fspath(name)  # type: ignore[call-overload]
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise DataError(
            f"got the data set {quoted(name)}; expected a name, one of {list(CATALOGUE)}, or a folder's path"
        )
    longest = max((len(part.encode("utf-8", "surrogatepass")) for part in Path(text).parts), default=0)
    if "\0" in text or not text or len(text) > LONGEST or longest > 255:
        raise DataError(
            f"unknown data set {quoted(text)} ({len(text):,} characters); one of {list(CATALOGUE)} or a folder's path"
        )
    return os.path.expanduser(text)


def expanded(root: object) -> str | None:
    """The folder of the data sets, `~` expanded; None, for MMKD_DATA, stays None."""
    if root is None:
        return None
    try:
        return os.path.expanduser(os.fspath(root))  # type: ignore[call-overload]
    except TypeError:
        raise DataError(f"got root={quoted(root)}; expected the folder that holds the data sets") from None


def folder_of(name: str, root: Path | str | None = None) -> Path:
    """The folder `root/name`, `root` being MMKD_DATA unless given, or else `name`; raises `DataError` if neither is."""
    root = root if root is not None else os.environ.get("MMKD_DATA")
    places = [Path(root) / name, Path(name)] if root else [Path(name)]
    for folder in places:
        if folder.is_dir():
            return folder
    looked = " and ".join(f"{folder}" for folder in places)
    hint = "" if root else "; set MMKD_DATA to the folder that holds your data sets to load them by name"
    raise DataError(f"unknown data set {name!r}; one of {list(CATALOGUE)} or a folder (looked for {looked}{hint})")


def _entry(name: str) -> Entry:
    if name not in CATALOGUE:
        raise DataError(f"unknown data set {name!r}; one of {list(CATALOGUE)} or the path of a folder")
    return CATALOGUE[name]


def _places(name: str, root: Path | str | None) -> list[Path]:
    cache = Path(pooch.os_cache("mmkd")) / name
    if root is not None:
        return [Path(root) / name]
    local = expanded(os.environ.get("MMKD_DATA"))
    return [Path(local) / name, cache] if local else [cache]


def _is_own(entry: Entry, folder: Path) -> bool:
    # Features are called image_feat.npy everywhere; the files of the interactions tell whose folder it is.
    known = [file for file in entry.present(folder) if not file.endswith(".npy")]
    return not known and folder.is_dir() and bool(detect(folder))


def _verify(entry: Entry, folder: Path) -> None:
    for file in entry.present(folder):
        if problem := sum_problem(folder / file, entry.sums[file]):
            own = "; or load the folder by its path, to use it as it is" if entry.layout in LAYOUTS else ""
            raise DataError(f"{folder / file}: {problem}; remove it and fetch {entry.name!r} again{own}")
