"""Amazon-Beauty as MEGCF publishes it, or in MMRec's layout with the features that are made of it."""

from mmkd_core.datasets.entry import Entry

ENTRY = Entry(
    title="Amazon-Beauty",
    summary="15,576 users × 8,678 products, 139,318 interactions: image and text as TF-IDF of entities",
    source="https://raw.githubusercontent.com/hfutmars/MEGCF/3022b330a2089664bd45b3d498e88129b3415b62/Data/amazon-beauty/",
    terms="no licence stated; research use",
    layout="megcf",
    forms=(
        {
            "train.txt": "797631b6a4bcd9c6674afc309603fc3b24e8089e96f66767be737407f5ec92de",
            "validation.txt": "25d549f1412338d77041e534f1b13dc1deebb995c789d3d18d80852ca57bcf9d",
            "test.txt": "232cc27d05ca299ad45324d213adbbddb19b67609ca1212ee7f054a213712517",
            "i2e_visual.txt": "d306b6e673fedf653c7f05771f407b0503c01e06e7f197d66328e02047d5ca27",
            "i2e_title.txt": "796931323bcc9a1b4a740301f8ca1d73402c3ebd74106660d92e56ea8e5913b0",
        },
        # What `load_megcf` makes of those, in MMRec's layout.
        {
            "amazon-beauty.inter": "5bc85f6f85f2229d301d61fee55ef294dfb3102545018161e1d1111846abb240",
            "image_feat.npy": "0899dfbc75ec5c19db6532db715f665615ce7311ea39edd5d45e3bd827160f11",
            "text_feat.npy": "8ac4c8b673deb8cbd519f0f9f39c700f9a885cf16a1785982c534673d497aa12",
        },
    ),
)
