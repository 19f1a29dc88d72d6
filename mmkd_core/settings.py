"""What a setting may be: one checker for the files of settings, the command line and Python alike.

A setting is a keyword-only parameter of a function, or a field of a dataclass: its annotation says what kind of value
it takes, `RANGES` which numbers. A setting added after records exist declares, with `Neutral(v)`, the value that gives
the old behaviour.
"""

import argparse
import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

# All training is in float32: what lies beyond would be infinity or, as a divisor, zero.
LARGEST, SMALLEST = 3.4e38, 1.2e-38
LARGEST_WHOLE = 2**63 - 1
WHOLE = re.compile(r"[+-]?[0-9]{1,30}")  # not \d, which takes digits of every script
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
QUOTED = 80  # characters of a value that a message repeats


class Range(NamedTuple):
    """The numbers that `within` lets through, and the words for them."""

    says: str
    within: Callable[[float], bool]


NOT_NEGATIVE = Range("at least 0", lambda number: number >= 0)
AT_LEAST_1 = Range("at least 1", lambda number: number >= 1)
POSITIVE = Range("more than 0", lambda number: number >= SMALLEST)
SHARE = Range("0 to 1", lambda number: 0 <= number <= 1)
NOT_WHOLE_SHARE = Range("at least 0 and less than 1", lambda number: 0 <= number < 1)
RANGES: dict[str, Range] = {  # where it is not NOT_NEGATIVE
    **dict.fromkeys(("dim", "latent", "negatives", "candidates", "neighbours", "gamma"), AT_LEAST_1),
    **dict.fromkeys(("batch_size", "patience", "evaluate_every"), AT_LEAST_1),
    **dict.fromkeys(("temperature", "ssl_temperature", "lr"), POSITIVE),
    **dict.fromkeys(("raw_weight", "contrast", "replaced", "share"), SHARE),
    "dropout": NOT_WHOLE_SHARE,
}


class Neutral(NamedTuple):
    """The value at which a setting changes nothing: `bias: Annotated[bool, Neutral(False)] = True`.

    A record that was made before there was the setting has this value, and no key tells it from one made since.
    """

    value: Any


class Setting(NamedTuple):
    """A setting: what kind of value it takes, its choices if any, whether None is one, its default, what is neutral."""

    kind: type[Any]
    choices: tuple[str, ...]
    optional: bool
    default: Any
    range: Range | None
    neutral: Neutral | None = None

    @property
    def says(self) -> str:
        """The values that it takes, in words."""
        if self.kind in (int, float):
            noun = "a whole number" if self.kind is int else "a number"
            of = "from" if self.range is SHARE else "of" if self.range and self.range.says[:2] == "at" else ""
            return " ".join(part for part in (noun, of, self.range.says if self.range else "") if part)
        return {bool: "true or false", str: "a text"}.get(self.kind, self.kind.__name__)


def of_function(function: Callable[..., Any], *, ranged: bool = True) -> dict[str, Setting]:
    """The keyword-only parameters of `function` whose values are plain; without `ranged` any number will do."""
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    found = {p.name: _setting(p.name, hints[p.name], p.default, ranged) for p in parameters if p.kind is p.KEYWORD_ONLY}
    return {name: setting for name, setting in found.items() if setting.kind in (bool, int, float, str)}


def of_dataclass(kind: Any) -> dict[str, Setting]:
    """The fields of a dataclass as settings."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _setting(field.name, hints[field.name], field.default, True) for field in fields(kind)}


@lru_cache
def of_model(kind: type) -> dict[str, Setting]:
    """The settings of a model's class."""
    return of_function(kind.__init__)


def _setting(name: str, hint: Any, default: Any, ranged: bool) -> Setting:
    neutral = None
    if get_origin(hint) is Annotated:
        hint, *said = get_args(hint)
        neutral = next((extra for extra in said if isinstance(extra, Neutral)), None)
    parts = [part for part in get_args(hint) if part is not type(None)]
    optional = get_origin(hint) is not Literal and len(parts) < len(get_args(hint))
    inner = parts[0] if optional else hint
    choices = get_args(inner) if get_origin(inner) is Literal else ()
    kind = str if choices else inner if isinstance(inner, type) else object
    return Setting(kind, choices, optional, default, RANGES.get(name, NOT_NEGATIVE) if ranged else None, neutral)


def without_neutral(values: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """`values` less those of settings that are at their declared neutral value: what a key is made of."""
    return {name: value for name, value in values.items() if known[name].neutral != Neutral(value)}


def completed(values: Mapping[str, Any], known: Mapping[str, Setting], of: str) -> dict[str, Any]:
    """All settings of a record: those that it lacks, being older than they are, at their declared neutral value.

    Raises `ValueError` for one that declares none: nobody knows which value the record was made with.
    """
    lacking = {name: setting.neutral for name, setting in known.items() if name not in values}
    if None in lacking.values():
        names = [name for name, neutral in lacking.items() if neutral is None]
        raise ValueError(f"the settings {names} of {of} are missing; expected all that declare no neutral value")
    return {name: neutral.value for name, neutral in lacking.items() if neutral is not None} | dict(values)


def checked(values: Any, known: Mapping[str, Setting], of: str, noun: str = "setting") -> dict[str, Any]:
    """`values`, each of its setting's kind: 1 becomes 1.0 where a fraction is meant.

    Raises `ValueError`, naming setting and value, for a name that is not `known` and for a value of another kind (True
    is no number, 1.0 no whole number), out of range, or not finite; and for `values` that are no mapping at all.
    """
    return {
        name: check(name, value, _known(name, known, of, noun), of) for name, value in mapping(values, noun, of).items()
    }


def mapping(values: Any, noun: str, of: str) -> dict[str, Any]:
    """`values` as a dict; raises `ValueError` when they are no mapping of names."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{noun}s of {of}: got {quoted(values)}; expected names with values, for example {{'a': 1}}")
    return dict(values)


def _known(name: str, known: Mapping[str, Setting], of: str, noun: str) -> Setting:
    if name not in known:
        raise ValueError(f"unknown {noun} {quoted(name)} of {of}; one of {sorted(known)}")
    return known[name]


def check(name: str, value: Any, setting: Setting, of: str) -> Any:
    """One value, as `checked` says."""
    if value is None and setting.optional:
        return None
    if setting.choices and not (isinstance(value, str) and value in setting.choices):
        raise ValueError(f"unknown {name} {quoted(value)}; one of {[*setting.choices]}")
    if not _is_of(setting.kind, value):
        example = "" if setting.default in (None, inspect.Parameter.empty) else f", for example {setting.default!r}"
        raise ValueError(f"{name}={quoted(value)} of {of}; expected {setting.says}{example}")
    if setting.kind in (int, float):
        _check_number(name, value, setting, of)
    return _as(setting.kind, value)


def _as(kind: Callable[[Any], Any], value: Any) -> Any:
    return kind(value)


def _is_of(kind: type, value: Any) -> bool:
    number = {int: Integral, float: Real}.get(kind)
    return isinstance(value, number) and not isinstance(value, bool) if number else isinstance(value, kind)


def _check_number(name: str, value: Any, setting: Setting, of: str) -> None:
    limit = LARGEST_WHOLE if setting.kind is int else LARGEST
    if not abs(value) <= limit:  # NaN is not either
        most = "2^63 - 1" if setting.kind is int else f"{LARGEST}, which a float32 can hold"
        raise ValueError(f"{name}={quoted(value)} of {of}; expected {setting.says} and at most {most}")
    if setting.range is not None and not setting.range.within(value):
        raise ValueError(f"{name}={quoted(value)} of {of}; expected {setting.says}")


def read(text: str, setting: Setting | None) -> Any:
    """The value that a text of the command line stands for; it is returned as it is if it cannot be parsed.

    The check then refuses it.
    """
    if setting is None:
        return text
    if setting.optional and text.lower() == "none":
        return None
    if setting.kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if setting.kind is int and WHOLE.fullmatch(text):
        return int(text)
    if setting.kind is float and NUMBER.fullmatch(text):
        return float(text)
    return text


def whole(text: str) -> int:
    """A whole number of the command line, in plain digits; for argparse."""
    if not WHOLE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a whole number; expected one in digits, such as 7")
    return int(text)


def check_cores(name: str, number: int, least: int) -> None:
    """Raises `ValueError` for a number of threads or processes below `least` or above that of the machine's cores."""
    cores = os.cpu_count() or 1
    if not least <= number <= cores:  # torch crashes where the system has no more threads to give
        raise ValueError(f"{name}={number}; expected from {least} to {cores}, the cores of this machine")


def quoted(value: Any) -> str:
    """`repr` of a value, cut where it is longer than a line of a message should be."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits; lists in lists in lists
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 3]}..."
