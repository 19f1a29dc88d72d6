"""Work that is killed at a write that is counted: where it dies depends on no clock and on no machine."""

import itertools
import os
import signal
import sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "sqlite3.connect"}


def _changes(event, arguments, folder):
    """Whether an audit event (PEP 578) is one of what changes something in `folder`."""
    if event in CHANGES or (event == "open" and arguments[2] & WRITES):
        return isinstance(arguments[0], str | os.PathLike) and os.path.abspath(arguments[0]).startswith(str(folder))
    return False


def _work(folder, says, before, target, arguments):
    changes = itertools.count(1)

    def hook(event, arguments):
        if _changes(event, arguments, folder) and next(changes) == before:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    target(*arguments)
    says.send(next(changes) - 1)


def killed(processes, folder, target, *arguments, before=0):
    """Runs `target(*arguments)`, killed just before its `before`-th change of a file under `folder`, if it gets there.

    Returns None if it was killed, else how many changes it made. It must not fail.
    """
    hears, says = processes.Pipe(duplex=False)
    process = processes.Process(target=_work, args=(folder, says, before, target, arguments))
    process.start()
    says.close()  # now that process alone can say something, and its end ends the wait
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return None
    assert process.exitcode == 0, process.exitcode
    return hears.recv()
