"""What is raised for data that cannot be used: apart, so that what serves tables needs nothing else for it."""


class DataError(ValueError):
    """Data that cannot be used: the message names the file, the row, what was found and what was expected."""
