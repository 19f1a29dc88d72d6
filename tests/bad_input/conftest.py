"""A small data set of 20 users and 60 items, and the check that the command line refuses something well."""

import re

import numpy as np
import pytest
import torch

from mmkd_core.__main__ import main


@pytest.fixture(scope="session")
def write_small():
    def write(folder, seed=0):
        """A data set in MMRec's layout; its last user has no training interaction."""
        folder.mkdir()
        random = np.random.default_rng(seed)
        rows = ["userID\titemID\tx_label"]
        for user in range(20):
            for place, item in enumerate(random.permutation(60)[:10]):
                rows.append(f"{user}\t{item}\t{2 if user == 19 else {8: 1, 9: 2}.get(place, 0)}")
        (folder / f"{folder.name}.inter").write_text("\n".join(rows) + "\n")
        for name, width in (("image", 6), ("text", 4)):
            np.save(folder / f"{name}_feat.npy", random.normal(size=(60, width)).astype(np.float32))
        return folder

    return write


@pytest.fixture(scope="session")
def small(write_small, tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(autouse=True)
def _as_at_home(monkeypatch):
    monkeypatch.delenv("MMKD_DATA", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def refused(capsys):
    def check(*arguments, says):
        """Status 2, nothing on stdout, and one line on stderr that matches `says`."""
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert len(err) < 1000
        assert re.search(says, err.rstrip("\n")), err

    return check
