"""Which settings were chosen for a data set: those of `hparams/<model>.toml`, or of a file that `mmkd tune` wrote.

A block of either is `how` the settings were found, the settings of the model, and in a table `fit` those of training.
The first file is a model's, with a block per data set; the second a data set's, with a block per model.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from mmkd_core import settings
from mmkd_core.files import read_toml, write_whole
from mmkd_core.models import base_of, settings_of
from mmkd_core.training import SETTINGS, TRAINING

Chosen = Mapping[str, Mapping[str, Any]]  # settings by model, those of training under "fit"
BARE = re.compile(r"[A-Za-z0-9_-]+")  # names that TOML takes without quotes


def chosen_for(model: str, dataset: str, chosen: Chosen | None = None) -> dict[str, Any]:
    """The settings of a model for a data set, those of training under "fit"; {} where none were chosen.

    Those of `chosen` where it names the model, else those of `hparams/<model>.toml`. A variant without a file of its
    own has the settings of what it varies.
    """
    for name in (model, file_of(model).removesuffix(".toml")):
        if chosen and name in chosen:
            return deepcopy(dict(chosen[name]))
    if dataset == "search":  # `[search]` is the space of the search, no data set
        return {}
    return deepcopy({name: value for name, value in _tables_of(model).get(dataset, {}).items() if name != "how"})


def tables_of(model: str) -> dict[str, dict[str, Any]]:
    """The tables of `hparams/<model>.toml`: "search", and one per data set. None for a model that has no such file."""
    return deepcopy(_tables_of(model))


def _tables_of(model: str) -> dict[str, dict[str, Any]]:
    file = resources.files("mmkd_core") / "hparams" / file_of(model)
    return _parsed(file.read_text(encoding="utf-8")) if file.is_file() else {}


def file_of(model: str) -> str:
    """The name of the file that has a model's settings: a variant's own, or that of the model that it varies."""
    names = [f"{name}.toml" for name in (model, base_of(model))]
    return names[not (resources.files("mmkd_core") / "hparams" / names[0]).is_file()]


_parsed = lru_cache(tomllib.loads)  # the ledger plans a thousand experiments with the settings of a few models


def read_chosen(path: str | Path) -> dict[str, dict[str, Any]]:
    """The settings by model in a file that `mmkd tune` wrote, each checked, those of training under "fit".

    Raises `ValueError` naming the file where it is missing, no TOML, of an unknown model or setting, or where a value
    is none of its setting.
    """
    path = Path(path)
    try:
        return {model: _checked(model, table) for model, table in read_toml(path).items()}
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file of settings; expected one that `mmkd tune` wrote") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no file of settings ({error}); expected one as `mmkd tune` writes it") from None


def _checked(model: str, table: Any) -> dict[str, Any]:
    values = settings.mapping(table, "setting", model)
    values.pop("how", None)
    fit = settings.checked(values.pop("fit", {}), SETTINGS, TRAINING)
    if "seed" in fit:
        raise ValueError(f"fit.seed of {model}; expected no seed among settings: `mmkd run` takes one as --seed")
    return settings.checked(values, settings_of(model), model) | ({"fit": fit} if fit else {})


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, or a space of them, by the names of the command line: those of "fit" as "fit.lr"."""
    own = {name: value for name, value in values.items() if name != "fit"}
    return own | {f"fit.{name}": value for name, value in values.get("fit", {}).items()}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flat`."""
    fits = {name.removeprefix("fit."): value for name, value in values.items() if name.startswith("fit.")}
    own = {name: value for name, value in values.items() if not name.startswith("fit.")}
    return own | ({"fit": fits} if fits else {})


def write_block(file: Path, name: str, how: str, chosen: Mapping[str, Any]) -> None:
    """Makes `chosen` the block called `name` of a file of settings, in place of the one that is there.

    What else the file holds stays as it is, comments included. Raises `ValueError` for a file that is no TOML.
    """
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    title = name if BARE.fullmatch(name) else json.dumps(name)
    own = re.compile(rf"^\[{re.escape(title)}(\.fit)?\]\n(?:(?!\[).*(?:\n|\Z))*", re.MULTILINE)
    first = own.search(text)
    at = first.start() if first else len(text)
    before, after = (own.sub("", part).strip("\n") for part in (text[:at], text[at:]))
    block = {"how": how} | {key: value for key, value in chosen.items() if key != "fit"}
    blocks = {title: block} | ({f"{title}.fit": chosen["fit"]} if "fit" in chosen else {})
    lines = [
        f"[{head}]\n" + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
        for head, values in blocks.items()
    ]
    parts = before, "\n".join(lines).strip("\n"), after
    whole = "\n\n".join(part for part in parts if part) + "\n"
    try:
        tomllib.loads(whole)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: no file of settings ({error}); expected TOML with a block per model") from None
    write_whole(file, lambda temporary: temporary.write_text(whole, encoding="utf-8"))
