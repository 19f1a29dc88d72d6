"""A shop of 20 users and 60 items whose items have pictures, texts and sounds, for tests of `mmkd features`."""

import io

import numpy as np
import pyarrow as pa
from made_up_folder import ITEMS, USERS, write_folder
from PIL import Image
from scipy.io import wavfile

from mmkd_core.datasets.ids import Ids, write_ids

WORDS = ("red", "blue", "green", "old", "new", "small", "great", "loud")


def made(folder, ids=True):
    """The shop's folder without any features; beside it lie pictures/, sounds/ and captions.csv."""
    shop = write_folder(folder / "shop")
    for file in shop.glob("*.npy"):
        file.unlink()
    if ids:
        (shop / "card.json").write_text("{}")
        write_ids(shop / "ids.parquet", Ids(*(pa.array(map(f, range(n))) for f, n in ((str, USERS), (item_id, ITEMS)))))
    named = item_id if ids else str
    for name in ("pictures", "sounds"):
        (folder / name).mkdir()
    lines = ["item,title,words"]
    for item in range(ITEMS):
        (folder / "pictures" / f"{named(item)}.png").write_bytes(drawn(item))
        (folder / "sounds" / f"{named(item)}.wav").write_bytes(played(item))
        lines.append(f'{named(item)},"No. {item}, {WORDS[item % 8]}",{WORDS[item % 5]} and {WORDS[item % 7]}')
    (folder / "captions.csv").write_text("\n".join(lines) + "\n")
    return shop


def item_id(item):
    return f"B{item:03}é"


def pixels(item, side=64):
    return np.random.default_rng(item).integers(0, 256, (side, side, 3), dtype=np.uint8)


def drawn(item, kind="PNG", **options):
    """The bytes of a picture."""
    return saved(Image.fromarray(pixels(item)), kind, **options)


def saved(image, kind, **options):
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def samples(item, rate=16_000, seconds=0.1):
    return np.sin(2 * np.pi * (200 + 40 * item) * np.arange(int(rate * seconds)) / rate)


def played(item, rate=16_000):
    """The bytes of a sound."""
    return wav(np.rint(samples(item, rate) * 32767).astype(np.int16), rate)


def wav(array, rate=16_000):
    held = io.BytesIO()
    wavfile.write(held, rate, array)
    return held.getvalue()
