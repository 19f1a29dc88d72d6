"""Types checked at run time, by beartype; shapes, too, by jaxtyping, where a signature has any.

jaxtyping's import hook decorates every function, and what it does at each call to follow a shape from one argument to
the next takes longer than most calls. A signature without arrays has no shapes: beartype alone checks the same.
"""

from functools import wraps
from inspect import isclass
from typing import get_type_hints

import jaxtyping
from beartype import beartype

SHAPED = jaxtyping.jaxtyped


def has_arrays(function) -> bool:
    """Whether a hint of its signature names a shape, or cannot be read yet."""
    try:
        return "jaxtyping." in repr(get_type_hints(function, include_extras=True))
    except Exception:  # a name that comes later in its file, or only for a type checker
        return True


def jaxtyped(*, typechecker):
    """In place of `jaxtyping.jaxtyped`, for the import hook."""

    def decorated(thing):
        if isclass(thing) or not callable(thing) or has_arrays(thing):
            return SHAPED(typechecker=typechecker)(thing)
        checked = beartype(thing)

        @wraps(thing)
        def call(*arguments, **named):
            return (thing if jaxtyping.config.jaxtyping_disable else checked)(*arguments, **named)

        return call

    return decorated


def checked_when_imported(modules) -> None:
    """The named modules, and those in them, have their types checked."""
    jaxtyping.jaxtyped = jaxtyped
    jaxtyping.install_import_hook(modules, "beartype.beartype")
