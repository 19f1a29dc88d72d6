"""Numbers that others printed, as data: the paper's own, and those published for a data set used here.

None of them is a target: the paper's three data sets cannot be had, and budgets and selection differ everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

METRICS = ("recall@20", "ndcg@20", "recall@50", "ndcg@50")


class Printed(float):
    """A number as somebody printed it: computes as a float, and as text it has every digit that was printed.

    "-" stands for a number that is not there: NaN.
    """

    def __new__(cls, text: str) -> Printed:
        number = super().__new__(cls, "nan" if text == "-" else text.replace(",", ""))
        number.text = text
        return number

    text: str

    def __str__(self) -> str:
        return self.text


def printed(line: str) -> tuple[Printed, ...]:
    """The numbers of a line of a table, parted by blanks."""
    return tuple(map(Printed, line.split()))


class Order(NamedTuple):
    """A complexity as printed, and the highest power in it of each size: "raw" is d_m, "dim" is d, and d_h as well."""

    text: str
    powers: dict[str, int]


# Table 1: feature reduction R and message propagation. MMKD's entry is its student's.
LINEAR_REDUCTION = Order("Σ |I| d_m d", {"items": 1, "raw": 1, "dim": 1})
TABLE_1: dict[str, dict[str, Order]] = {
    "mmgcn": {
        "R": Order("Σ |I| (d_m + d) d_h", {"items": 1, "raw": 1, "dim": 1}),  # d_h d is no part in d_m: not read as d²
        "GNN": Order("Σ L |E| d³", {"layers": 1, "edges": 1, "dim": 3}),
    },
    "grcn": {
        "R": LINEAR_REDUCTION,
        "GNN": Order("Σ (|I|² d + L |E| d)", {"items": 2, "layers": 1, "edges": 1, "dim": 1}),
    },
    "lattice": {
        "R": LINEAR_REDUCTION,
        "GNN": Order("Σ |I|² d_m + k |I| log |I| + L |E| d", {"items": 2, "raw": 1, "layers": 1, "edges": 1, "dim": 1}),
    },
    "slmrec": {"R": LINEAR_REDUCTION, "GNN": Order("Σ L |E| d", {"layers": 1, "edges": 1, "dim": 1})},
    "bm3": {"R": LINEAR_REDUCTION, "GNN": Order("L |E| d", {"layers": 1, "edges": 1, "dim": 1})},
    "mmkd": {
        "R": Order("0", {"items": 0, "raw": 0, "dim": 0}),
        "GNN": Order("L |E| d", {"layers": 1, "edges": 1, "dim": 1}),
    },
}

STATISTICS = ("users", "items", "interactions", "sparsity", "features", "train / validation / test")
# Table 3.
TABLE_3: dict[str, dict[str, str]] = {
    name: dict(zip(STATISTICS, [*values, ""], strict=True))
    for name, values in {
        "Netflix": ("43,739", "17,239", "609,341", "99.919 %", "visual 512, text 768"),
        "Tiktok": ("14,343", "8,690", "276,637", "99.778 %", "visual 128, acoustic 128, text 768"),
        "Electronics": ("41,691", "21,479", "359,165", "99.960 %", "visual 4096, text 1024"),
    }.items()
}

# Table 4, in the order of METRICS. The data sets are the paper's own (its Table 3), not the ones of the same name here.
TABLE_4: dict[str, dict[str, tuple[Printed, ...]]] = {
    "Netflix": {
        "bpr-mf": printed("0.1583 0.0578 0.2396 0.0740"),
        "ngcf": printed("0.1617 0.0612 0.2455 0.0767"),
        "lightgcn": printed("0.1605 0.0609 0.2449 0.0768"),
        "vbpr": printed("0.1661 0.0621 0.2402 0.0729"),
        "mmgcn": printed("0.1685 0.0620 0.2486 0.0772"),
        "grcn": printed("0.1762 0.0661 0.2669 0.0868"),
        "lattice": printed("0.1654 0.0623 0.2531 0.0770"),
        "clcrec": printed("0.1801 0.0719 0.2789 0.0892"),
        "slmrec": printed("0.1743 0.0682 0.2878 0.0869"),
        "bm3": printed("0.1792 0.0720 0.2842 0.0923"),
        "mmkd": printed("0.1864 0.0743 0.3054 0.1013"),
    },
    "Tiktok": {
        "bpr-mf": printed("0.0488 0.0177 0.1038 0.0285"),
        "ngcf": printed("0.0604 0.0206 0.1099 0.0296"),
        "lightgcn": printed("0.0612 0.0211 0.1119 0.0301"),
        "vbpr": printed("0.0525 0.0186 0.1061 0.0289"),
        "mmgcn": printed("0.0629 0.0208 0.1221 0.0305"),
        "grcn": printed("0.0642 0.0211 0.1285 0.0311"),
        "lattice": printed("0.0675 0.0232 0.1401 0.0362"),
        "clcrec": printed("0.0657 0.0214 0.1329 0.0329"),
        "slmrec": printed("0.0669 0.0221 0.1363 0.0342"),
        "bm3": printed("0.0660 0.0225 0.1351 0.0343"),
        "mmkd": printed("0.0737 0.0258 0.1517 0.0410"),
    },
    "Electronics": {
        "bpr-mf": printed("0.0211 0.0081 0.0399 0.0117"),
        "ngcf": printed("0.0241 0.0095 0.0417 0.0128"),
        "lightgcn": printed("0.0259 0.0101 0.0428 0.0132"),
        "vbpr": printed("0.0234 0.0095 0.0409 0.0125"),
        "mmgcn": printed("0.0273 0.0114 0.0445 0.0138"),
        "grcn": printed("0.0281 0.0117 0.0518 0.0158"),
        "lattice": printed("0.0340 0.0135 0.0641 0.0184"),
        "clcrec": printed("0.0300 0.0118 0.0559 0.0169"),
        "slmrec": printed("0.0331 0.0132 0.0624 0.0180"),
        "bm3": printed("0.0336 0.0141 0.0637 0.0195"),
        "mmkd": printed("0.0369 0.0155 0.0691 0.0218"),
    },
}

# Table 5: recall@20, ndcg@20. Netflix's w/o-ListKD has the NDCG of LATTICE in Table 7: errata B26.
TABLE_5: dict[str, dict[str, tuple[Printed, ...]]] = {
    "Netflix": {
        "w/o-Prompt": printed("0.1665 0.0662"),
        "w/o-PairKD": printed("0.1774 0.0689"),
        "w/o-ListKD": printed("0.1690 0.0487"),
        "w/o-disentangle": printed("0.1712 0.0693"),
        "MMKD": printed("0.1864 0.0743"),
    },
    "Tiktok": {
        "w/o-Prompt": printed("0.0681 0.0240"),
        "w/o-PairKD": printed("0.0692 0.0242"),
        "w/o-ListKD": printed("0.0673 0.0234"),
        "w/o-disentangle": printed("0.0706 0.0249"),
        "MMKD": printed("0.0737 0.0258"),
    },
    "Electronics": {
        "w/o-Prompt": printed("0.0280 0.0117"),
        "w/o-PairKD": printed("0.0277 0.0112"),
        "w/o-ListKD": printed("0.0331 0.0136"),
        "w/o-disentangle": printed("0.0353 0.0141"),
        "MMKD": printed("0.0369 0.0155"),
    },
}


class Consumption(NamedTuple):
    """A line of Table 6: seconds an epoch, GB of GPU memory, millions of parameters, per cent of the teacher's."""

    seconds: Printed
    gigabytes: Printed
    millions: Printed
    ratio: Printed


# Table 6, on an RTX 3090; LATTICE on Electronics on an A100.
TABLE_6: dict[str, dict[str, Consumption]] = {
    "netflix": {
        "teacher": Consumption(*printed("42.6 2.95 24.91 -")),
        "lattice": Consumption(*printed("61.0 18.24 24.06 96.59")),
        "bm3": Consumption(*printed("39.5 2.69 24.06 96.59")),
        "mmkd": Consumption(*printed("23.3 2.03 1.95 7.83")),
    },
    "electronics": {
        "teacher": Consumption(*printed("30.8 5.02 99.04 -")),
        "lattice": Consumption(*printed("45.1 37.69 98.39 99.34")),
        "bm3": Consumption(*printed("31.8 4.57 98.39 99.34")),
        "mmkd": Consumption(*printed("13.9 3.81 2.67 2.70")),
    },
}
(SEC_4_4_RATIO,) = printed("11.24")  # per cent, where Table 6 says 7.83

# Table 7, on the paper's Netflix: recall@20, ndcg@20, milliseconds "by training the model and making inference".
TABLE_7: dict[str, tuple[Printed, ...]] = {
    "lattice": printed("0.1210 0.0487 1,605.26"),
    "bm3": printed("0.1381 0.0574 790.0"),
    "mmkd": printed("0.1454 0.0586 482.5"),
}

# Table 8: shapes and numbers of the weights, on Netflix.
TABLE_8: dict[str, dict[str, tuple[tuple[int, ...], int]]] = {
    "teacher": {
        "image_trans.weight": ((32, 512), 16_384),
        "image_trans.bias": ((32,), 32),
        "text_trans.weight": ((32, 768), 24_576),
        "text_trans.bias": ((32,), 32),
        "user_id_embedding.weight": ((43_739, 32), 1_399_648),
        "item_id_embedding.weight": ((43_739, 32), 1_399_648),
        "image_embedding.weight": ((17_239, 32), 8_826_368),
        "text_embedding.weight": ((17_239, 32), 13_239_552),
        "batch_norm.weight": ((32,), 32),
        "batch_norm.bias": ((32,), 32),
    },
    "LightGCN student": {
        "user_id_embedding.weight": ((43_739, 32), 1_399_648),
        "item_id_embedding.weight": ((17_239, 32), 551_648),
    },
    "GCN student": {"layer_list.0.user_weight": ((32, 32), 1_024), "layer_list.0.item_weight": ((32, 32), 1_024)},
}
TABLE_8_TOTALS = {"teacher": 24_906_304, "LightGCN student": 1_951_296, "GCN student": 2_048}

# Jiang et al., DiffMM, ACM MM 2024, Table 1, on the TikTok files that this project uses: recall@20, ndcg@20.
DIFFMM_TIKTOK: dict[str, tuple[Printed, ...]] = {
    "bpr-mf": printed("0.0346 0.0130"),
    "ngcf": printed("0.0604 0.0238"),
    "lightgcn": printed("0.0653 0.0282"),
    "vbpr": printed("0.0380 0.0134"),
    "mmgcn": printed("0.0730 0.0307"),
    "grcn": printed("0.0804 0.0350"),
    "lattice": printed("0.0843 0.0367"),
    "clcrec": printed("0.0621 0.0264"),
    "slmrec": printed("0.0845 0.0353"),
    "bm3": printed("0.0957 0.0404"),
}
