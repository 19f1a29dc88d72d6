"""The demo: a catalogue to look at and to try things on at once, made by `demo_catalogue.py`."""

from mmkd_core.datasets.entry import Entry

ENTRY = Entry(
    title="Demo",
    summary="a small streaming catalogue with posters, captions and sounds: image, text, audio",
    source="generated from a seed",
    terms="MIT, as this library",
    layout="none: nothing is read",
    loader="demo_catalogue.load_demo",
)
