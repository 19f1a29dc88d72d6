"""A run that was killed and is run again gives what an undisturbed one gives, to the bit."""

import json
import random

import pytest
from dying import killed
from killed_run import EPOCHS, EVERY, work
from made_up_folder import write_folder

from mmkd_core.checkpoint import read_header
from mmkd_core.experiment import Record

KILLS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


def held(store):
    """The files of a store, temporary ones among them; none where it is not there yet."""
    return sorted(path for path in store.rglob("*") if path.is_file())


def results(store):
    """The files of a store by name: bytes; of records what the moment of their making does not change."""
    found = {}
    for path in held(store):
        if path.suffix == ".json":
            values = json.loads(path.read_text())
            assert path == Record.read(path).file(store)
            found[path.name] = {key: values[key] for key in values if key not in ("cost", "environment")}
        else:
            found[path.name] = path.read_bytes()
    return found


def kept(store):
    """How far a store is: of each model the epoch of its checkpoint, and what else there is of it."""
    return tuple((path.parent.name, path.suffix, read_header(path).get("epoch") if path.suffix == ".checkpoint" else 0)
                 for path in held(store))  # fmt: skip


def test_a_killed_run_that_is_run_again_gives_the_undisturbed_result(processes, folder, tmp_path):
    whole = tmp_path / "undisturbed"
    changes, expected = killed(processes, whole, work, folder, whole), results(whole)
    assert len(expected) == 6
    draw, states, sessions = random.Random(0), [], []
    while len(states) < KILLS:  # one store after another, each killed until it is done
        store = tmp_path / f"after-{len(states)}"
        while killed(processes, store, work, folder, store, before=draw.randint(1, changes)) is None:
            states.append(kept(store))
        assert results(store) == expected, states
        sessions += [Record.read(path).cost.get("sessions", 1) for path in store.rglob("*.json")]
    went_on = [epoch for state in states for _, _, epoch in state if 0 < epoch < EPOCHS]
    assert set(went_on) == set(range(EVERY, EPOCHS, EVERY)), states  # in the middle of a training, too
    assert len(set(states)) >= KILLS // 4, states  # at many different moments
    assert max(sessions) > 1


def test_two_that_run_the_same_at_the_same_time_do_not_disturb_each_other(processes, folder, tmp_path):
    killed(processes, tmp_path / "undisturbed", work, folder, tmp_path / "undisturbed")
    both = [processes.Process(target=work, args=(folder, tmp_path / "store")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert results(tmp_path / "store") == results(tmp_path / "undisturbed")
