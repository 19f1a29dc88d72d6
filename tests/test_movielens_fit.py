"""What `python -m benchmarks.movielens` writes of a configuration that was carried out."""

import json

import pytest
from made_up_folder import write_folder

from benchmarks import movielens
from mmkd_core import plan, run
from mmkd_core.files import read_toml


@pytest.fixture
def carried_out(tmp_path):
    """A configuration with the records of two seeds of two models, as `mmkd fit` leaves them."""
    data = write_folder(tmp_path / "shop")
    (data / "card.json").write_text('{"rows": 9}')
    (data / "features.json").write_text('{"features": {}}')
    for model in ("popularity", "itemknn"):
        for seed in (0, 1):
            run(plan(model, str(data), seed=seed), store=tmp_path / "runs")
    config = tmp_path / "fit.toml"
    config.write_text('data = "shop"\nstore = "runs"\n[run]\nmodels = ["popularity", "itemknn"]\nseeds = [0, 1]\n')
    return config


def test_each_model_s_seeds_are_one_line(carried_out):
    found = movielens.gathered(carried_out)
    assert found["card"] == {"rows": 9}
    assert found["config"] == read_toml(carried_out)
    assert list(found["systems"]) == ["popularity", "itemknn"]
    assert found["systems"]["itemknn"]["seeds"] == 2
    assert found["systems"]["itemknn"]["recall@20"]["std"] == 0  # it has no chance in it
    assert 0 <= found["systems"]["popularity"]["recall@20"]["mean"] <= 1
    assert str(carried_out.parent) not in json.dumps(found)
    assert "behind by" not in found["systems"]["itemknn"]


def test_what_is_exported_is_compared_with_each_other(carried_out):
    folder = carried_out.parent
    for seed in (0, 1):
        run(plan("bpr-mf", str(folder / "shop"), seed=seed, fit={"epochs": 3, "lr": 0.05}), store=folder / "runs")
    text = carried_out.read_text().replace('"itemknn"]', '"bpr-mf"]')
    carried_out.write_text(text + '[export]\nmodel = "bpr-mf"\n')
    found = movielens.gathered(carried_out)["systems"]
    assert list(found["popularity"]["behind by"]) == ["recall@20", "ndcg@20"]
    assert "behind by" not in found["bpr-mf"]


def test_a_seed_that_did_not_run_is_named(carried_out):
    carried_out.write_text(carried_out.read_text().replace("[0, 1]", "[0, 1, 2]"))
    with pytest.raises(ValueError, match=r"popularity has 2 records in .*; expected one per seed of \[0, 1, 2\]"):
        movielens.gathered(carried_out)


def test_the_committed_configuration_is_the_one_that_was_carried_out():
    record = json.loads((movielens.ROOT / "book/records/fit/ml-100k.json").read_text())
    assert record["config"] == read_toml(movielens.CONFIG)
    assert list(record["systems"]) == record["config"]["run"]["models"]
    assert all(system["seeds"] == 3 for system in record["systems"].values())
    assert "-dirty" not in (record["environment"]["commit"] or "")
