"""TikTok as DiffMM publishes it; its users and items are not those of the paper's Tiktok."""

from mmkd_core.datasets.entry import Entry

ENTRY = Entry(
    title="TikTok",
    summary="9,308 users × 6,710 videos, 68,722 interactions: image, audio (that of MMSSL and DiffMM, not the paper's)",
    source="https://raw.githubusercontent.com/HKUDS/DiffMM/fae20e642aeeaad4284be6f7fb3432ebb551da8e/Datasets/tiktok/",
    terms="no licence stated; research use",
    layout="diffmm",
    forms=(
        # Its text_feat.npy is left out: the sum is not known. Whoever puts it beside these gets it loaded.
        {
            "trnMat.pkl": "1efbc49d1a7ce5268f01e3e0c558df1f8f8644628c76aa6536be4ec61d256916",
            "valMat.pkl": "b6971ed696613d565613dd74b101c45b2aa002b66e8ba99cad03abf04db2397b",
            "tstMat.pkl": "e83a93787d88728572dbdd5b131bae01a90e17c340820e7b8f0a7c27e69d6f9e",
            "image_feat.npy": "f6c1ec1726ed2aa80315411199ab2143bee6333821bf58c5f00bd3f5b462efc2",
            "audio_feat.npy": "d45a44a9d462f578802de914c2feea5cfd45742b2922775a085b9bdc1beba26f",
        },
    ),
)
