"""A shop's log and captions, and a `mmkd fit` of them to be killed; who preloads this has imported all it needs."""

import random

import optuna  # noqa: F401
import torch

from mmkd_core.__main__ import main

CONFIG = """\
data = "shop"

[import]
log = "log.csv"
user = "who"
item = "what"

[features]
texts = "captions.csv"
with = ["text=tfidf"]
cache = "cache"

[tune]
models = ["itemknn", "lightgcn"]
trials = 2
epochs = 4

[run]
models = ["popularity", "lightgcn", "mmkd"]
set = ["fit.epochs=4", "fit.evaluate_every=2", "fit.batch_size=128"]

[report]
out = "report.html"
titles = "captions.csv"

[export]
model = "mmkd"
out = "served"
"""
WORDS = ["red", "blue", "green", "black", "white", "steel", "wood", "lamp", "chair", "table", "bowl", "glass"]


def write_shop(folder, config=CONFIG):
    """60 users with twelve choices each among 80 items of four words; the file that says what to do with them."""
    folder.mkdir(exist_ok=True)
    draw = random.Random(0)
    rows = [f"u{user},i{item}" for user in range(60) for item in draw.sample(range(80), 12)]
    (folder / "log.csv").write_text("\n".join(["who,what", *rows]) + "\n")
    titles = [f"i{item},{' '.join(draw.sample(WORDS, 4))}" for item in range(80)]
    (folder / "captions.csv").write_text("\n".join(["item,title", *titles]) + "\n")
    (folder / "shop.toml").write_text(config)
    return folder / "shop.toml"


def fitted(file):
    """`mmkd fit`."""
    torch.set_num_threads(1)
    assert main(["fit", str(file)]) == 0
