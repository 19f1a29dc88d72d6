"""One property of many things, as one test."""


def holds_for_every(things, check):
    """Calls `check` with each of `things`, of which there must be some; what fails is named, all of it."""
    things = list(things)
    assert things, f"nothing to check: {check.__name__}"
    wrong = []
    for thing in things:
        try:
            check(thing)
        except Exception as error:
            wrong.append(f"{thing}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join([f"{len(wrong)} of {len(things)}", *wrong])
