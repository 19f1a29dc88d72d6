"""MovieLens 100K: real ratings, titles, genres and years, as GroupLens' archive or as RecBole's wheel holds them."""

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.assemble import Content, Pairs, assemble
from mmkd_core.datasets.features import tfidf_features
from mmkd_core.datasets.ml_100k import TERMS
from mmkd_core.datasets.places import say_once
from mmkd_core.datasets.text import integers, read_columns, read_lines

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
NUM_USERS, NUM_ITEMS = 943, 1682
LIKED = 4  # stars


class Movie(NamedTuple):
    """A movie without the year that GroupLens writes after its title."""

    title: str
    year: int | None
    genres: frozenset[str]


def load_ml_100k(folder: Path, name: str = "ml-100k", *, seed: int = 0, compact: bool = False) -> Dataset:
    """The data set of the files in `folder`: `u.data` and `u.item`, or `ml-100k.inter` and `ml-100k.item`.

    An interaction is a rating of 4 or 5 stars, as is usual where MovieLens stands for implicit feedback (Liang et
    al., WWW'18); all 943 users and 1,682 movies stay, ids being GroupLens' less 1. A tenth of each user's, rounded,
    goes to val, as much to test, chosen by a hash of `seed`, user and item. Features: `text`, TF-IDF of title and
    genres reduced to 128 columns; `attributes`, the 19 genres as 0 or 1 and the year, 0 the oldest and 1 the newest.
    Both pairs of files make the same data set. `compact` leaves out the movies that nobody gave so many stars.
    GroupLens' terms are logged once per process. Raises `DataError` for what is wrong in the files.
    """
    say_once(TERMS)
    grouplens = (folder / "u.data").exists()
    ratings = folder / ("u.data" if grouplens else "ml-100k.inter")
    table = folder / ("u.item" if grouplens else "ml-100k.item")
    movies = _read_movies(table, grouplens)
    if sorted(movies) != list(range(1, NUM_ITEMS + 1)):
        raise DataError(f"{table}: got {len(movies)} movies; expected the ids 1 to {NUM_ITEMS}")
    listed = [movies[item + 1] for item in range(NUM_ITEMS)]
    features = {"attributes": _attributes(listed), "text": _text(listed)}
    splits = _split(_read_ratings(ratings, header=not grouplens), seed)
    content = Content(splits, features, dict.fromkeys(features, table), shape=(NUM_USERS, NUM_ITEMS))
    return assemble(name, content, compact=compact)


def _read_ratings(path: Path, header: bool) -> Pairs:
    lines = read_lines(path)[header:]
    columns = read_columns(path, lines, "\t", ("user", "item", "rating", "timestamp"))
    places = [number for number, _ in lines]
    users, items, stars = (integers(column, path, places) for column in columns[:3])
    liked = stars >= LIKED
    return Pairs(users[liked] - 1, items[liked] - 1, path, np.array(places, dtype=np.int64)[liked])


def _read_movies(path: Path, grouplens: bool) -> dict[int, Movie]:
    lines = read_lines(path, "latin-1") if grouplens else read_lines(path)[1:]
    if grouplens:
        names = ("item", "title", "released", "video released", "address", *GENRES)
        ids, titles, _, _, _, *flags = read_columns(path, lines, "|", names)
        genres = [
            [genre for genre, flag in zip(GENRES, row, strict=True) if flag == "1"] for row in zip(*flags, strict=True)
        ]
    else:
        ids, titles, years, words = read_columns(path, lines, "\t", ("item", "title", "year", "genres"))
        # RecBole cut GroupLens' title at its last bracket, and spelt that of item 267, "unknown", in its own way.
        cut = zip(titles, years, strict=True)
        titles = [f"{title} ({year})" if title != "unkonwn" else "unknown" for title, year in cut]
        genres = [word.split() for word in words]
    movies = {}
    numbers = integers(ids, path, [number for number, _ in lines]).tolist()
    for item, title, kinds in zip(numbers, titles, genres, strict=True):
        year = re.search(r"\(([0-9]{4})\)", title)
        short = re.sub(r"\s*\(([0-9]{4}|V)\)", "", title).strip()
        movies[item] = Movie(short, int(year[1]) if year else None, frozenset(kinds))
    return movies


def _attributes(movies: list[Movie]) -> torch.Tensor:
    years = [movie.year for movie in movies if movie.year is not None]
    oldest, newest, middle = min(years), max(years), float(np.mean(years))  # the one movie without a year: the mean
    ages = [((middle if movie.year is None else movie.year) - oldest) / (newest - oldest) for movie in movies]
    kinds = [[float(genre in movie.genres) for genre in GENRES] for movie in movies]
    return torch.tensor([[*row, age] for row, age in zip(kinds, ages, strict=True)], dtype=torch.float32)


def _text(movies: list[Movie]) -> torch.Tensor:
    from sklearn.feature_extraction.text import CountVectorizer

    words = [" ".join([movie.title, *(genre for genre in GENRES if genre in movie.genres)]) for movie in movies]
    return tfidf_features(csr_array(CountVectorizer().fit_transform(words)))


def _split(ratings: Pairs, seed: int) -> dict[str, Pairs]:
    # A hash, because numpy does not promise the same draws in every version; nor does the order of the file matter.
    draws = [
        hashlib.sha256(f"{seed} {user} {item}".encode()).digest()
        for user, item in zip(ratings.users.tolist(), ratings.items.tolist(), strict=True)
    ]
    order = sorted(range(len(draws)), key=lambda row: (ratings.users[row], draws[row]))
    rows: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    starts = np.flatnonzero(np.diff(ratings.users[order], prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        tenth = (end - start + 5) // 10
        rows["val"] += order[start : start + tenth]
        rows["test"] += order[start + tenth : start + 2 * tenth]
        rows["train"] += order[start + 2 * tenth : end]
    return {split: ratings.only(chosen) for split, chosen in rows.items()}
