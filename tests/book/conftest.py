"""A browser for the tests that look at pages as a reader does."""

from browsing import browser

__all__ = ["browser"]
