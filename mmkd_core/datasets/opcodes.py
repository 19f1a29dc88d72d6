"""A pickle's program, looked at before it is run: how long it is, how deep it nests and how much it shares.

Pickles of matrices are a hundred or two of opcodes. One of a few dozen can hold lists in lists, each twice the one
before, and to compare, print or hash the last of them takes longer than anybody waits. So every object's size and
depth is counted first, as if nothing were shared, on a stack of sizes in place of objects.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field

from mmkd_core.data import DataError
from mmkd_core.settings import quoted

MOST_OPCODES, MOST_PARTS, MOST_NESTING = 2000, 2000, 40
LONGEST_NUMBER = 20  # digits
_REFUSED = ("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")
_GET = ("GET", "BINGET", "LONG_BINGET")


@dataclass(eq=False)
class _Thing:
    """An object that the pickle would make, by what it is made of."""

    parts: list[_Thing] = field(default_factory=list)


_MARK = _Thing()


def check_opcodes(data: bytes) -> None:
    """Raises `DataError` for a pickle that is not of the size, depth and kind that a pickled matrix has."""
    stack: list[_Thing] = []
    memo: dict[int, _Thing] = {}
    things: list[_Thing] = []
    for count, (opcode, argument, place) in enumerate(pickletools.genops(data)):
        position = int(place or 0)
        if count >= MOST_OPCODES:
            raise DataError(f"refused: more than {MOST_OPCODES} opcodes")
        if opcode.name in _REFUSED:
            raise DataError(f"refused: opcode {opcode.name} at byte {position}")
        if isinstance(argument, int) and abs(argument) >= 10**LONGEST_NUMBER:
            raise DataError(f"refused: a number of more than {LONGEST_NUMBER} digits at byte {position}")
        if opcode.name in _PUT:
            if int(argument or 0) >= MOST_OPCODES:  # the memo is a table as long as its largest number
                raise DataError(f"refused: {opcode.name} {quoted(argument)} at byte {position}, more than there can be")
            memo[int(argument or 0)] = stack[-1]
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif opcode.name in _GET:
            stack.append(memo[int(argument or 0)])
        elif opcode.name == "DUP":
            stack.append(stack[-1])
        else:
            _step(opcode, stack, things)
        if opcode.name == "STOP" and position + 1 != len(data):
            raise DataError(f"refused: {len(data) - position - 1} bytes after the end of the pickle")
    _measure(things)


def _step(opcode: pickletools.OpcodeInfo, stack: list[_Thing], things: list[_Thing]) -> None:
    """What one opcode takes from the stack goes into what it puts there."""
    before, after = opcode.stack_before, opcode.stack_after
    taken: list[_Thing] = []
    for kind in reversed(before):
        if kind is pickletools.stackslice:
            while (top := stack.pop()) is not _MARK:
                taken.append(top)
        elif kind is not pickletools.markobject:  # popped with the slice above it
            taken.append(stack.pop())
    if opcode.name == "POP_MARK":
        return
    for kind in after:
        if kind is pickletools.markobject:
            stack.append(_MARK)
        elif opcode.name in ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"):
            target = taken.pop()  # the deepest one, which the others are put into
            target.parts += taken
            stack.append(target)
        else:
            stack.append(_Thing(taken))
            things.append(stack[-1])


def _measure(things: list[_Thing]) -> None:
    """Raises `DataError` where one of `things` is too large or too deep, counted as a tree, or is part of itself."""
    sizes: dict[int, tuple[int, int]] = {}
    for first in things:
        path = {id(first): (first, iter(first.parts))} if id(first) not in sizes else {}
        while path:
            thing, rest = next(reversed(path.values()))
            part = next((part for part in rest if id(part) not in sizes), None)
            if part is not None:
                if id(part) in path:
                    raise DataError("refused: an object that is part of itself")
                path[id(part)] = part, iter(part.parts)
                continue
            parts = [sizes[id(part)] for part in thing.parts]
            size, depth = 1 + sum(part[0] for part in parts), 1 + max((part[1] for part in parts), default=0)
            if size > MOST_PARTS or depth > MOST_NESTING:
                raise DataError(
                    f"refused: objects in objects, more than {MOST_PARTS} parts or {MOST_NESTING} deep, "
                    "shared ones counted wherever they stand"
                )
            sizes[id(thing)] = size, depth
            del path[id(thing)]
