"""A data set in files, as small as one can be that trains, for tests of what a user's own folder meets."""

import numpy as np

USERS, ITEMS, CHOICES = 20, 60, 10


def write_folder(folder, seed=0, without_history=USERS - 1):
    """MMRec's layout: every user has ten choices, every item occurs, one user has no training interaction."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    turns = -(-USERS * CHOICES // ITEMS)  # whole permutations, so that each item comes up in each turn
    chosen = np.concatenate([random.permutation(ITEMS) for _ in range(turns)])[: USERS * CHOICES]
    rows = ["userID\titemID\tx_label"]
    for user, items in enumerate(chosen.reshape(USERS, CHOICES)):
        labels = [2] * CHOICES if user == without_history else [0] * (CHOICES - 2) + [1, 2]
        rows += [f"{user}\t{item}\t{label}" for item, label in zip(items, labels, strict=True)]
    (folder / f"{folder.name}.inter").write_text("\n".join(rows) + "\n")
    for name, width in (("image", 6), ("text", 4)):
        np.save(folder / f"{name}_feat.npy", random.normal(size=(ITEMS, width)).astype(np.float32))
    return folder


def write_far_folder(folder):
    """The same without features, its items numbered from 1000 on."""
    write_folder(folder)
    table = folder / f"{folder.name}.inter"
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    table.write_text("\n".join(["\t".join(lines[0]), *(f"{u}\t{1000 + int(i)}\t{x}" for u, i, x in lines[1:])]) + "\n")
    for file in folder.glob("*.npy"):
        file.unlink()
    return folder
