"""Taobao's clothes as MEGCF publishes them; features are made of what its pictures and titles name."""

from mmkd_core.datasets.entry import Entry

ENTRY = Entry(
    title="Taobao",
    summary="12,539 users × 8,735 garments, 83,648 interactions: image and text as TF-IDF of entities",
    source="https://raw.githubusercontent.com/hfutmars/MEGCF/3022b330a2089664bd45b3d498e88129b3415b62/Data/taobao/",
    terms="no licence stated; research use",
    layout="megcf",
    forms=(
        {
            "train.txt": "7ab7ce541087a8f9497710e43b8c49a6be861a119bca4dd8c6f0a3cf6952e151",
            "validation.txt": "a7c5f24db74c7c8c5dc9502f1c210cfd584b3865042e3e17e3fabe906d51b65e",
            "test.txt": "3c64c4b2442f5b6e68b319443b1729619dd21bf88d66dc283a5624ccca48d5ae",
            "i2e_visual.txt": "20bfadeaf78206cbde587fae32960a8d732e11eb28e4772d09af1f72b4d554c9",
            "i2e_title.txt": "c3dd4d3fb4ab014f1700dcc09a2dabdc8883b71e7e2882e1b3b2359bffbdecd9",
        },
    ),
)
