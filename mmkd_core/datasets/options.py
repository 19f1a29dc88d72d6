"""What an option of a data set may be: its annotation says the kind of value, and inside `Annotated` which numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

from mmkd_core import settings
from mmkd_core.data import DataError


def options_of(function: Callable[..., Any]) -> dict[str, settings.Setting]:
    """The keyword-only parameters of a loader or a control, as settings."""
    hints = get_type_hints(function, include_extras=True)
    ranges = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in hints.items()}
    return {
        name: setting._replace(range=ranges[name])
        for name, setting in settings.of_function(function, ranged=False).items()
    }


def check_options(options: Any, allowed: dict[str, settings.Setting], name: str) -> dict[str, Any]:
    """`options` of the data set `name`, each of its kind and in its range; raises `DataError` for any other."""
    try:
        return settings.checked(options, allowed, name, "option")
    except ValueError as error:
        raise DataError(str(error)) from None
