"""A loop in a test hides nothing: whatever fails is named, and nothing to look at fails, too."""

import re

import pytest
from every import holds_for_every


def below_three(number):
    assert number < 3
    return 1 / number


def test_what_holds_passes():
    holds_for_every([1, 2], below_three)


def test_each_that_fails_is_named_with_its_reason():
    said = r"^3 of 4\n5: AssertionError: .*\n0: ZeroDivisionError: .*\n3: AssertionError: "
    with pytest.raises(AssertionError, match=re.compile(said, re.DOTALL)):
        holds_for_every([5, 0, 1, 3], below_three)


def test_nothing_to_check_fails():
    with pytest.raises(AssertionError, match="nothing to check: below_three"):
        holds_for_every([], below_three)
