"""`mmkd fit`: from a log to a student that serves, the other commands one after another, as one file says."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mmkd_core.commands import export, features, importing, report, run, tune
from mmkd_core.files import CARD, read_json, read_toml, sha256_of, write_json
from mmkd_core.settings import quoted

STEPS = {"import": importing, "features": features, "tune": tune, "run": run, "report": report, "export": export}
TOP = {"data": None, "store": "runs"}
# What is no option of a step's command, with its default, or ... where it has none.
OWN: dict[str, dict[str, Any]] = {
    "import": {"log": ...},
    "tune": {"models": ...},
    "run": {"models": ..., "seeds": [0]},
    "export": {"model": ..., "out": ...},
}
# Options of the commands that the file says elsewhere, or that this command gives.
SAID = {
    "import": ("force",), "tune": ("data", "store"), "run": ("data", "store", "records", "seed", "settings"),
    "export": ("force", "data"), "report": ("data",),
}  # fmt: skip
# What steps read that no step before them makes, and the log.
READ = {"features": ("images", "texts", "audio"), "report": ("pictures", "titles")}
EXAMPLE = """\
a file:
  data = "shop"                       # the folder that is made; all paths are seen from the folder of this file
  [import]
  log = "log.csv"
  user = "who"
  item = "what"
  [features]                          # each step may be left out; its options are those of its command
  images = "pictures"
  texts = "captions.csv"
  [tune]
  models = ["itemknn", "lightgcn"]
  trials = 10
  [run]
  models = ["popularity", "itemknn", "lightgcn", "mmkd-lists"]
  seeds = [0, 1, 2]
  [report]
  out = "report.html"
  titles = "captions.csv"
  [export]
  model = "mmkd-lists"                # of those run; its first seed
  out = "served"
"""


class _Strict(argparse.ArgumentParser):
    """A parser whose errors are exceptions, and which takes whole names only."""

    def __init__(self, **how: Any) -> None:
        strict: dict[str, Any] = how | {"allow_abbrev": False, "add_help": False}
        super().__init__(**strict)

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def add_to(commands: Any) -> None:
    """Adds the subcommand to a parser."""
    parser = commands.add_parser(
        "fit", help="all of it, from log to export, as a file says",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLE,
        description="Carries out the steps of CONFIG.toml: import, features, tune, run, report, export. A step whose\n"
        "result stands is not done again; ended or killed, the same command goes on. The file is checked whole\n"
        "before anything is done.",
    )  # fmt: skip
    parser.add_argument("config", metavar="CONFIG.toml", help="what to do, as below")
    parser.set_defaults(action=_fit)


def _fit(arguments: argparse.Namespace) -> int:
    file = Path(arguments.config)
    steps = read_config(file)
    try:
        with contextlib.chdir(file.resolve().parent):
            _Fit(steps, arguments.again).carry_out(file.stem)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; what is done stands; to go on: {arguments.again}") from None
    return 0


def read_config(file: Path) -> dict[str, Any]:
    """The steps in a file, each checked as its command would check it.

    Raises `ValueError` naming file and step where the file is missing, no TOML, or says what no step knows.
    """
    try:
        values = read_toml(file)
        top = {name: value for name, value in values.items() if name not in STEPS}
        if others := sorted(top.keys() - TOP):
            raise ValueError(f"unknown {quoted(others[0])}; expected one of {[*TOP]}, and tables called {[*STEPS]}")
        top = {name: _text(top.get(name, usual), name) for name, usual in TOP.items()}
        steps = {name: _section(name, values[name]) for name in STEPS if name in values}
        if not steps:
            raise ValueError(f"no step; expected some of {[*STEPS]}")
        _check_models(steps)
        for name, section in steps.items():
            _parsed(name, _given(name, section, top), _named(name, section, top))
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file; expected one as `mmkd fit --help` shows") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: {error} (`mmkd fit --help` shows a file)") from None
    return top | {"steps": steps}


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{name}={quoted(value)}; expected a text, the path of a folder or file")
    return value


def _section(step: str, section: Any) -> dict[str, Any]:
    """A step's table with the defaults of what is no option; the options are the command's affair."""
    if not isinstance(section, Mapping):
        raise ValueError(f"{step}={quoted(section)}; expected a table, [{step}]")
    found = OWN.get(step, {}) | dict(section)
    if lacking := [name for name, value in found.items() if value is ...]:
        raise ValueError(f"[{step}] has no {lacking[0]}; expected one")
    if said := [name for name in section if name in SAID.get(step, ())]:
        raise ValueError(f"[{step}] has {said[0]}, which is no affair of a step; expected it left away")
    for name in ("models", "seeds"):
        kind, what = (str, "names") if name == "models" else (int, "seeds")
        values = found.get(name, [kind()])
        if not (isinstance(values, list) and values and all(type(value) is kind for value in values)):
            raise ValueError(f"[{step}] {name}={quoted(values)}; expected a list of {what}")
    return found


def _check_models(steps: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises `ValueError` for a model that is unknown, and for an export of one that is not run."""
    from mmkd_core.models import settings_of

    for step in ("tune", "run"):
        for model in steps.get(step, {}).get("models", []):
            settings_of(model)
    for step in ("report", "export"):
        if step in steps and "run" not in steps:
            raise ValueError(f"[{step}] without [run]; expected models to be trained")
    if "export" in steps:
        exported, ran = steps["export"]["model"], steps["run"]["models"]
        if exported not in ran:
            raise ValueError(f"[export] model={quoted(exported)}; expected one of [run]: {ran}")


def _given(step: str, section: Mapping[str, Any], top: Mapping[str, Any]) -> list[str]:
    """The options of a step's command line."""
    where = [f"--data={top['data']}", f"--store={top['store']}"] if step in ("tune", "run") else []
    return [
        *where,
        *(part for name in section if name not in OWN.get(step, {}) for part in _option(step, name, section[name])),
    ]


def _named(step: str, section: Mapping[str, Any], top: Mapping[str, Any], record: str = "RECORD") -> list[str]:
    """What stands behind the options: of `run` the first model, of `report` and `export` a record."""
    return {
        "import": lambda: [_text(section["log"], "log"), top["data"]],
        "features": lambda: [top["data"]],
        "tune": lambda: section["models"],
        "run": lambda: section["models"][:1],
        "report": lambda: [record],
        "export": lambda: [record, _text(section["out"], "out")],
    }[step]()


def _option(step: str, name: str, value: Any) -> Iterator[str]:
    """An option as its command takes it: true is a flag, a list the option once for each."""
    for one in value if isinstance(value, list) else [value]:
        if one is True:
            yield f"--{name}"
        elif isinstance(one, str | int | float) and one is not False:
            yield f"--{name}={one}"
        elif one is not False:
            raise ValueError(f"[{step}] {name}={quoted(one)}; expected a text, a number, true, false or a list")


def _parsed(step: str, options: Sequence[str], named: Sequence[str], again: str = "") -> argparse.Namespace:
    """What the command of a step makes of its command line; raises `ValueError` naming the step."""
    parser = _Strict(prog="mmkd")
    STEPS[step].add_to(parser.add_subparsers())
    try:
        parsed = parser.parse_args([step, *options, "--", *named])
    except ValueError as error:
        raise ValueError(f"[{step}]: {error}") from None
    parsed.again = again
    return parsed


class _Fit:
    """The steps, one after another, in the folder of their file.

    Which results stand is kept in `<store>/<name>.fit.json`, a key per step: of what the step was told and of what it
    read. It is written before a step, since an import is whole or not there, and "done" after it.
    """

    def __init__(self, config: Mapping[str, Any], again: str) -> None:
        self.steps: dict[str, dict[str, Any]] = config["steps"]
        self.top, self.again = config, again
        self.records: list[str] = []

    def carry_out(self, name: str) -> None:
        self.state = Path(self.top["store"]) / f"{name}.fit.json"
        self.kept: dict[str, Any] = read_json(self.state, dict, "state", "mmkd fit") if self.state.exists() else {}
        self._check_inputs()
        for step, section in self.steps.items():
            print(f"[{step}]")
            sys.stdout.flush()
            getattr(self, f"_{step}")(step, section)

    def _check_inputs(self) -> None:
        """Looks, before hours are spent, at what later steps read; raises `ValueError` naming step and file."""
        from mmkd_core.shown import read_titles

        for step, section in self.steps.items():
            parsed = _parsed(step, _given(step, section, self.top), _named(step, section, self.top))
            for name in READ.get(step, ()):
                if (path := getattr(parsed, name)) is not None and not Path(path).expanduser().exists():
                    raise ValueError(f"[{step}] {name}={quoted(path)}: no such file or folder; expected what it reads")
            if getattr(parsed, "titles", None) is not None:
                read_titles(Path(parsed.titles).expanduser())

    def _call(self, step: str, named: Sequence[str], *more: str) -> argparse.Namespace:
        """Carries out the command of a step with its options and `more`; what it was called with."""
        parsed = _parsed(step, [*more, *_given(step, self.steps[step], self.top)], named, self.again)
        parsed.action(parsed)
        return parsed

    def _features(self, step: str, section: Mapping[str, Any]) -> None:
        self._call(step, _named(step, section, self.top))  # it keeps what it computed

    def _tune(self, step: str, section: Mapping[str, Any]) -> None:
        self._call(step, _named(step, section, self.top), f"--out={self._settings}")  # and a study its trials

    @property
    def _settings(self) -> str:
        """Where the settings found lie."""
        return str(self.steps["tune"].get("out", Path(self.top["store"]) / "settings.toml"))

    def _once(self, step: str, key: str, stands: bool, result: str, named: Sequence[str], *more: str) -> None:
        """Does what has not been done with this key, and says so where it has."""
        if stands and self.kept.get(step, {}).get("key") == key:
            print(f"{result}: stands")
            return
        self._keep(step, key, done=False)
        self._call(step, named, *more)
        self._keep(step, key, done=True)

    def _keep(self, step: str, key: str, *, done: bool) -> None:
        self.kept[step] = {"key": key, "done": done}
        write_json(self.state, self.kept)

    def _import(self, step: str, section: Mapping[str, Any]) -> None:
        log, folder = Path(section["log"]).expanduser(), Path(self.top["data"])
        if not log.exists():
            raise ValueError(f"{log}: no such log; expected a table, or a folder of splits")
        files = [log] if log.is_file() else sorted(path for path in log.rglob("*") if path.is_file())
        key = _key(section, [[str(path.relative_to(log.parent)), sha256_of(path)] for path in files])
        before, there = self.kept.get(step, {}).get("key"), (folder / CARD).exists()
        if there and before is not None and before != key:
            raise ValueError(f"{folder}: made from another log, or otherwise; delete it to have it made anew")
        self._once(step, key, there, str(folder), _named(step, section, self.top))

    def _run(self, step: str, section: Mapping[str, Any]) -> None:
        from mmkd_core.datasets import load

        settings = [f"--settings={self._settings}"] if "tune" in self.steps else []
        asked = [
            run.asked_for(self._call(step, [model], f"--seed={seed}", *settings))[0]
            for seed in section["seeds"]
            for model in section["models"]
        ]
        data = load(asked[0].dataset, **asked[0].options)  # the same of all
        self.records = [str(experiment.file(self.top["store"], data.fingerprint)) for experiment in asked]

    def _report(self, step: str, section: Mapping[str, Any]) -> None:
        stands = bool(self.kept.get(step, {}).get("done")) and Path(section["out"]).exists()
        self._once(step, _key(section, self.records), stands, section["out"], self.records)

    def _export(self, step: str, section: Mapping[str, Any]) -> None:
        record, kept = self.records[self.steps["run"]["models"].index(section["model"])], self.kept.get(step)
        stands = bool(kept and kept["done"]) and (Path(section["out"]) / CARD).exists()
        own = ["--force"] if kept is not None else []  # an export of this command's own may be replaced
        self._once(step, _key(section, record), stands, section["out"], _named(step, section, self.top, record), *own)


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
