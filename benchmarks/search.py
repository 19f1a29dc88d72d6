"""Chooses a model's settings for a data set of the book: `mmkd tune` at the book's budget, and adopts what it found.

    python -m benchmarks.search lightgcn --data tiktok

The number of whole trials for each data set and their cap are in `budgets.toml`, the same for all models; the first has
the settings in force. The study goes on in `<store>/searches`; ended, it is in `book/records/searches`, and the best
settings become the data set's block of `mmkd_core/hparams/<model>.toml`.
"""

import argparse
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmkd_core import plan
from mmkd_core.chosen import chosen_for, write_block
from mmkd_core.files import write_json
from mmkd_core.models import usual_fit
from mmkd_core.progress import Bars
from mmkd_core.study import Budget, found_by, patience_of, space_of, study_file
from mmkd_core.tuning import tune

ROOT = Path(__file__).parents[1]


def budgets() -> dict[str, dict[str, Any]]:
    """What a study may spend, by data set."""
    return tomllib.loads((ROOT / "benchmarks" / "budgets.toml").read_text(encoding="utf-8"))


def in_force(model: str, dataset: str, space: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a model for a data set, of the names in `space`."""
    experiment = plan(model, dataset)
    chosen = {name: experiment.hparams[name] for name in space if name != "fit"}
    fit = {name: getattr(experiment.fit, name) for name in space.get("fit", {})}
    return chosen | ({"fit": fit} if fit else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True, choices=[name for name in budgets() if name != "pruned"])
    parser.add_argument("--store", default="runs", help="where the study goes on and the teachers of students are kept")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    budget, model = budgets()[arguments.data], arguments.model
    space, _ = space_of(model)
    start = in_force(model, arguments.data, space) if chosen_for(model, arguments.data) else None
    spent = Budget(budget["trials"], budget["epochs"], patience_of(model, budget["patience"]))
    with Bars() as show:
        study = tune(model, arguments.data, budget=spent, start=start, store=arguments.store, on_epoch=show)
    path = study_file(ROOT / "book" / "records", arguments.data, model)
    write_json(path, study.as_dict())
    how = found_by(study, f"book/records/searches/{path.name}")
    own = "patience" in usual_fit(model)  # a training of its own, which stays as it is
    same = own and study.best["settings"] == in_force(model, arguments.data, space)
    settings = chosen_for(model, arguments.data) if same else study.settings
    write_block(ROOT / "mmkd_core" / "hparams" / f"{model}.toml", arguments.data, how, settings)
    print(json.dumps(study.settings, indent=1), study.best["validation recall@20"], *study.edges(), sep="\n")


if __name__ == "__main__":
    main()
