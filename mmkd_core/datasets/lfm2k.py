"""LFM-2K: artists of Last.fm, with features of their texts and songs."""

from mmkd_core.datasets.entry import Entry

ENTRY = Entry(
    title="LFM-2K",
    summary="1,858 users × 1,425 artists of Last.fm, 56,345 interactions: text (MiniLM), audio (VGGish, Whisper)",
    source="https://raw.githubusercontent.com/"
    "swapUniba/multimodal_ml1m_dbbook_lfm2k/e8c90c3f93ed14753fec4905d37c401de2255160/4_mmrec/data/lfm2k/",
    terms="Last.fm HetRec 2011: non-commercial use",
    layout="mmrec",
    forms=(
        {
            "lfm2k.inter": "a555d4b0bfabe0a11d1758c667eb9a29e574a60bd563848a73f5a6fccda1b0f9",
            "all-MiniLM-L6-v2.npy": "b21e98a91fc4ec11e879615f3c47b6f15bdb6e3b7c0d2a9cf0b8008ec83c46b0",
            "vggish.npy": "50dfedcc27f88929006bc4f425c94c55aa4bce177749b2f93e55fb3d8ac4018c",
            "whisper.npy": "2a2690ff74430711e5a9e22889b5b40cc1b931f6250f25501192d7d63cf98995",
        },
    ),
)
