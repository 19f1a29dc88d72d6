"""What co-occurrence says of taste, on data of which the answers are known by hand."""

from dataclasses import replace

import pytest
import torch

from mmkd_core.data import Dataset
from mmkd_core.evidence.cases import Case
from mmkd_core.evidence.measurement import Measurement, MeasurementRecord
from mmkd_core.evidence.questions import cooccurrence as module
from mmkd_core.evidence.questions.cooccurrence import cases, cooccurrence, frames, questions
from mmkd_core.evidence.store import Store

A, B, X, Y, Z, W, Q, N = range(8)
ASKED, FRIEND, HUB, STRANGER = range(4)
TRAIN = [
    (ASKED, A),
    (ASKED, B),
    (FRIEND, A),
    (FRIEND, X),
    (HUB, A),
    (HUB, B),
    (HUB, Y),
    (HUB, Z),
    (HUB, W),
    (STRANGER, Q),
]
# N was never trained on, and nothing was chosen as often as B: of these two nothing can be asked
VAL = [(ASKED, X), (STRANGER, Y), (STRANGER, B), (STRANGER, N)]


@pytest.fixture
def hub(monkeypatch):
    """A user with two items, a friend who shares one of them, a hub who shares both, and a stranger."""
    train, val = torch.tensor(TRAIN), torch.tensor(VAL)
    made = Dataset("hub", 4, 8, train, val, torch.tensor([(ASKED, Y)]))
    monkeypatch.setattr(module, "load", lambda name: made)
    return made


def test_an_item_is_compared_with_those_of_its_count_that_the_user_has_not(hub):
    asked = {user: [(item, others.tolist()) for item, others in pairs] for user, pairs in questions(hub).items()}
    assert asked == {ASKED: [(X, [Y, Z, W, Q])], STRANGER: [(Y, [X, Z, W])]}


@pytest.mark.usefixtures("hub")
def test_a_hub_outvotes_a_friend_unless_its_votes_are_divided(tmp_path):
    values = cooccurrence(tmp_path, dataset="hub")
    # Votes for the asked: X has 1 of the friend, Y, Z and W have 2 of the hub, Q none: X beats one of four. Divided
    # they are 1/2, three times 2/5, and 0: X beats all. The stranger shares nothing with anyone: ties.
    assert values["auc"]["votes"]["mean"] == (0.25 + 0.5) / 2
    assert values["auc"]["divided"]["mean"] == (1 + 0.5) / 2
    # The hub is the most active: it chose Y, Z and W, not X and Q. Of the asked: X loses to three and ties with Q. Of
    # the stranger: Y beats X and ties with Z and W.
    assert values["auc"]["active"]["mean"] == pytest.approx((0.125 + 2 / 3) / 2, abs=1e-9)
    assert values["auc"]["votes"]["half"] == pytest.approx(1.96 * 0.125, abs=1e-9)  # .25 / sqrt 2 is the deviation


@pytest.mark.usefixtures("hub")
def test_how_unevenly_users_choose(tmp_path):
    values = cooccurrence(tmp_path, dataset="hub")
    assert (values["users"], values["pairs"], values["median"], values["most"]) == (2, 0.5, 1.5, 5)
    assert values["together"] == 20 / 24  # 2 ordered pairs of the asked, 2 of the friend, 20 of the hub


def test_the_test_split_plays_no_part(hub, tmp_path, monkeypatch):
    values = cooccurrence(tmp_path, dataset="hub")
    other = replace(hub, test=torch.tensor([(FRIEND, Q), (ASKED, W)]))
    monkeypatch.setattr(module, "load", lambda name: other)
    assert cooccurrence(tmp_path, dataset="hub") == values


def test_blocks_of_users_change_nothing(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load", lambda name: data)
    whole = cooccurrence(tmp_path, dataset="random")
    monkeypatch.setattr(module, "BLOCK", 7)
    assert cooccurrence(tmp_path, dataset="random") == whole
    for score in ("votes", "divided"):
        assert abs(whole["auc"][score]["mean"] - 0.5) < 3 * whole["auc"][score]["half"]  # choices are random there


@pytest.mark.usefixtures("hub")
def test_the_table_shows_what_was_measured_and_what_was_not(tmp_path):
    values = cooccurrence(tmp_path, dataset="hub")
    MeasurementRecord(Measurement.of(cooccurrence, dataset="demo"), values, {}, {}, {"fingerprint": "x"}).save(tmp_path)
    asked = [case for name in ("demo", "tiktok") for case in cases(name)]
    assert all(isinstance(case, Case) for case in asked)
    (frame,) = frames(asked, Store(tmp_path)).values()
    assert [*frame.loc["Demo"]] == ["1.5", "5", "83 %", "0.375 ± 0.245", "0.750 ± 0.490", "0.396 ± 0.531"]
    assert set(frame.loc["TikTok"]) == {"not run"}
