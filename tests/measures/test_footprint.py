"""What a footprint holds, on a shape on which it takes seconds."""

import pytest
import torch

from mmkd_core.evidence import meters
from mmkd_core.evidence.counts import raw_features, student_weights, total, trained_teacher
from mmkd_core.evidence.questions import consumption
from mmkd_core.evidence.questions.consumption import footprint
from mmkd_core.evidence.shapes import SHAPES

DEMO = SHAPES["demo"]
DIM = 4
TRAIN = 410  # four fifths of 512


def peak():
    return meters.peak_memory(torch.device("cpu"))["resident"]


@pytest.fixture(scope="module")
def grown():
    """The peak of this process before and after it took 256 MiB, which it holds while its children run."""
    peak()  # forgets the peak of the tests before
    before = peak()
    block = torch.ones(64 * 2**20)
    yield before, peak()
    del block


@pytest.fixture(scope="module")
def teacher(grown, tmp_path_factory):
    return footprint(tmp_path_factory.mktemp("store"), model="teacher", shape="demo", dim=DIM, batch=64, steps=2)


def test_the_numbers_are_the_sum_of_their_parts(teacher):
    numbers = teacher["numbers"]
    assert numbers["trained"] == sum(trained_teacher(DEMO, DIM, prompts=1).values())  # ours: of the items alone
    assert numbers["served"] == total(student_weights(DEMO, DIM))
    assert numbers["frozen"] == 0
    starts = DEMO.users + 1 + DEMO.items + 1
    lightgcn = 2 * (DEMO.users + DEMO.items + 1 + 2 * 2 * TRAIN)  # row starts, columns, values, and the transpose's
    means = 2 * (starts + 4 * TRAIN)  # from items to users and back, each with its transpose
    semantics = DEMO.items * DIM
    assert numbers["constants"] == raw_features(DEMO) + semantics + lightgcn + means


def test_an_epoch_is_its_first_step_and_the_others(teacher):
    seconds = teacher["seconds"]
    assert teacher["steps"] == -(-TRAIN // 64) == 7
    assert seconds["epoch"] == pytest.approx(seconds["first step"] + 6 * seconds["other step"])
    assert all(value >= 0 for value in seconds.values())


def test_peaks_are_of_their_process(teacher):
    memory = teacher["memory"]
    assert list(memory) == ["imports", "data", "build", "train", "tables"]
    assert all(peak["resident"] > 50 for peak in memory.values())  # torch alone takes more
    assert memory["data"]["resident"] < memory["imports"]["resident"] + 100


def test_what_serves_holds_final_tables_alone(teacher):
    assert teacher["serving"]["users"] == DEMO.users
    assert teacher["serving"]["memory"]["resident"] > 50


def test_a_process_of_its_own_does_not_start_with_the_peak_of_its_parent(grown, teacher):
    before, here = grown
    assert here > before + 200
    assert teacher["memory"]["imports"]["resident"] < here - 100


@pytest.mark.skipif(not meters.CLEAR.exists(), reason="this system cannot forget a peak")
def test_a_peak_is_that_of_the_time_since_the_last_one():
    device = torch.device("cpu")
    meters.peak_memory(device)
    block = torch.ones(64 * 2**20)
    del block
    first, second = meters.peak_memory(device)["resident"], meters.peak_memory(device)["resident"]
    assert second < first - 200


def test_with_fewer_steps_than_asked_for_those_there_are_count(make_data):
    from mmkd_core.models import build

    data = make_data()
    device = torch.device("cpu")
    for batch in (len(data.train), 64):
        seconds = consumption._epoch(build("bpr-mf", data, {}), data, batch, 100, device)
        others = -(-len(data.train) // batch) - 1
        assert seconds["epoch"] == pytest.approx(seconds["first step"] + others * seconds["other step"])


def test_what_a_model_raises_comes_through(tmp_path):
    with pytest.raises(ValueError, match="unknown setting 'colour' of bm3"):
        footprint(tmp_path, model="bm3", shape="demo", settings={"colour": 1})
    with pytest.raises(ValueError, match="unknown shape 'tiktok'"):
        footprint(tmp_path, model="bm3", shape="tiktok")
