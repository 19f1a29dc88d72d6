"""A pickle's program, looked at before it is run: how long it is, how deep it nests and how much it shares.

Pickles of matrices are a hundred or two of opcodes. One of a few dozen can hold lists in lists, each twice the one
before, and to compare, print or hash the last of them takes longer than anybody waits. So every object's size and
depth is counted first, as if nothing were shared, on a stack of sizes in place of objects. What is part of another
object may not grow any more, so that the sizes stay right; pickles are written from the inside out.
"""

import pickletools
from dataclasses import dataclass
from typing import Self

from mmkd_core.data import DataError

MOST_OPCODES, MOST_PARTS, MOST_NESTING = 2000, 2000, 40
LONGEST_NUMBER = 20  # digits
_REFUSED = ("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER")
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")
_GET = ("GET", "BINGET", "LONG_BINGET")
_GROW = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")


@dataclass(eq=False)
class _Thing:
    """An object that the pickle would make: its size and depth as a tree, and whether it is part of another."""

    size: int = 1
    depth: int = 1
    is_part: bool = False

    def take(self, parts: list[Self]) -> None:
        """Makes `parts` its own. Raises `DataError` where it is too large or too deep then, or part of something."""
        for part in parts:
            part.is_part = True
        if parts and self.is_part:
            raise DataError("refused: an object that is part of itself, or grows when it is part of another")
        self.size += sum(part.size for part in parts)
        self.depth = max([self.depth, *(1 + part.depth for part in parts)])
        if self.size > MOST_PARTS or self.depth > MOST_NESTING:
            raise DataError(
                f"refused: objects in objects, more than {MOST_PARTS} parts or {MOST_NESTING} deep, "
                "shared ones counted wherever they stand"
            )


_MARK = _Thing()


def check_opcodes(data: bytes) -> None:
    """Raises `DataError` for a pickle that is not of the size, depth and kind that a pickled matrix has."""
    stack: list[_Thing] = []
    memo: dict[int, _Thing] = {}
    for count, (opcode, argument, place) in enumerate(pickletools.genops(data)):
        position, number = int(place or 0), argument if isinstance(argument, int) else 0
        if count >= MOST_OPCODES:
            raise DataError(f"refused: more than {MOST_OPCODES} opcodes")
        if opcode.name in _REFUSED:
            raise DataError(f"refused: opcode {opcode.name} at byte {position}")
        if abs(number) >= 10**LONGEST_NUMBER:
            raise DataError(f"refused: a number of more than {LONGEST_NUMBER} digits at byte {position}")
        if opcode.name in _PUT and number >= MOST_OPCODES:  # the memo is a table as long as its largest number
            raise DataError(f"refused: {opcode.name} {number} at byte {position}, more than there can be")
        if opcode.name in (*_PUT, "MEMOIZE"):
            memo[len(memo) if opcode.name == "MEMOIZE" else number] = stack[-1]
        elif opcode.name in (*_GET, "DUP"):
            stack.append(stack[-1] if opcode.name == "DUP" else memo[number])
        else:
            _step(opcode, stack)
        if opcode.name == "STOP" and position + 1 != len(data):
            raise DataError(f"refused: {len(data) - position - 1} bytes after the end of the pickle")


def _step(opcode: pickletools.OpcodeInfo, stack: list[_Thing]) -> None:
    """What one opcode takes from the stack goes into what it puts there."""
    taken: list[_Thing] = []
    for kind in reversed(opcode.stack_before):
        if kind is pickletools.stackslice:
            while (top := stack.pop()) is not _MARK:
                taken.append(top)
        elif kind is not pickletools.markobject:  # popped with the slice above it
            if stack[-1] is _MARK:
                raise ValueError("a mark where an object should be")
            taken.append(stack.pop())
    if opcode.name in _GROW:
        stack.append(taken.pop())  # the deepest one, which the others are put into
        stack[-1].take(taken)
    elif opcode.name != "POP_MARK":
        for kind in opcode.stack_after:
            stack.append(_MARK if kind is pickletools.markobject else _Thing())
            if kind is not pickletools.markobject:
                stack[-1].take(taken)
