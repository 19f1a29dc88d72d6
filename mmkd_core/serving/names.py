"""The ids of users or of items, as requests spell them and as answers do."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii


class Names:
    """Ids by number and numbers by id. An id is a text or a whole number; where there are none it is the number itself.

    A request spells each as text: 7 and "7" are one.
    """

    def __init__(self, ids: Sequence[str] | Sequence[int]) -> None:
        self.texts = [str(one) for one in ids]
        self.whole = not self.texts or not isinstance(ids[0], str)
        self._numbers = {text: number for number, text in enumerate(self.texts)}
        self._sorted: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def number(self, spelt: str | int) -> int:
        """The number that an id stands for, -1 for what is none."""
        return self._numbers.get(str(spelt), -1)

    def json(self, number: int) -> str:
        """An id as answers have it: a number where ids are numbers."""
        return self.texts[number] if self.whole else encode_basestring_ascii(self.texts[number])

    def beginning(self, text: str, k: int) -> list[int]:
        """Up to `k` whose id begins with `text`, spread evenly over all that do, in the order of their texts."""
        if self._sorted is None:
            self._sorted = sorted(self.texts)
        start = bisect_left(self._sorted, text)
        end = bisect_right(self._sorted, text, key=lambda one: one[: len(text)])
        step = max(1, (end - start) // k)
        return [self._numbers[one] for one in self._sorted[start:end:step][:k]]
