"""Amazon-Beauty with features thousands of columns wide: what pictures and titles name, one column per entity."""

from mmkd_core.datasets.amazon_beauty import ENTRY as NARROW
from mmkd_core.datasets.entry import Entry

ENTRY = Entry(
    title="Amazon-Beauty, wide",
    summary="the interactions of amazon-beauty: image and text as TF-IDF of entities, 962 and 4,039 columns",
    source=NARROW.source,
    terms=NARROW.terms,
    layout="megcf",
    forms=NARROW.forms[:1],
    loader="megcf.load_wide",
    folders=("amazon-beauty-megcf", "amazon-beauty"),
)
