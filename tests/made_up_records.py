"""Rows of systems that were never trained, with hits beside them, for tests of comparisons."""

import pandas as pd
import torch

from mmkd_core.evidence.store import METRICS
from mmkd_core.hits import save_hits

USERS = torch.arange(200)


def system(folder, name, rate, seeds, *, capped=False):
    """Rows of one system, as `Store.rows` gives them: 200 users with one test item each, hit first with chance `rate`.

    `capped` says that its runs ended at their cap of epochs. The same uniform numbers decide for every system, so that
    one with a higher rate hits wherever another does.
    """
    rows = []
    for seed in seeds:
        draw = torch.rand(len(USERS), generator=torch.Generator().manual_seed(seed))
        hits = draw < rate
        path = folder / f"{name}-{seed}.json"
        save_hits(path, USERS, hits.long())
        value = float(hits.double().mean())
        rows.append(
            {"system": name, "seed": seed, "hits": str(path), "record": str(path), "draw": hits.numpy(), "model": name}
        )
        rows[-1] |= dict.fromkeys(METRICS, value) | {"capped": capped}
    return pd.DataFrame(rows)
