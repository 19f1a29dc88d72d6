"""A small data set of 20 users and 60 items."""

import pytest
import torch
from made_up_folder import write_folder


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(autouse=True)
def _as_at_home(monkeypatch):
    monkeypatch.delenv("MMKD_DATA", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
