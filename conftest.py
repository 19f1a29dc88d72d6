"""Here, not under tests/, because the notebooks are tests too."""

pytest_plugins = ["nbval_tolerance"]
