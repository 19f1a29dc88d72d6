"""The version of an export that is served, and the watch for the next."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from mmkd_core.exported import current
from mmkd_core.files import CARD
from mmkd_core.serving.answers import Answers
from mmkd_core.serving.metrics import Metrics

log = logging.getLogger("mmkd.serve")
EVERY, AGAIN = 1.0, 5.0  # seconds between looks, and until a version that was broken is tried once more


class Current:
    """What is served now, `answers`, and how it is replaced: read beside the old, then switched in one assignment.

    A request that has begun goes on with what it began with. What cannot be read is logged, and the old goes on.
    """

    def __init__(self, folder: str | Path, read: Callable[[], Answers], metrics: Metrics) -> None:
        self.folder, self._read, self._metrics = Path(folder), read, metrics
        self._stamp: tuple[int, ...] | None = _stamp(self.folder)
        self.answers = read()
        self._said = ""
        self._asked = asyncio.Event()
        metrics.served(self.answers.catalogue)

    def look(self) -> None:
        """Reads the folder now, changed or not."""
        self._stamp = None
        self._asked.set()

    async def watch(self, every: float = EVERY, again: float = AGAIN) -> None:
        """Looks at the card once in `every` seconds, for ever."""
        await asyncio.to_thread(lambda: self.answers.catalogue.folding)  # so that nobody has to wait for it
        failed, since = None, 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await self._asked.wait()
                    failed = None
            self._asked.clear()
            stamp, now = _stamp(self.folder), time.monotonic()
            if stamp != self._stamp and (stamp != failed or now - since > again):
                failed, since = None if await self.renew(stamp) else stamp, now

    async def renew(self, stamp: tuple[int, ...]) -> bool:
        """Serves what lies there now, if it can be read; says whether it is so."""
        try:
            answers = await asyncio.to_thread(self._next)
        except (ValueError, OSError, MemoryError) as error:
            if _stamp(self.folder) == stamp:  # else it was replaced meanwhile, and is read at the next look
                self._metrics.switches.labels("broken").inc()
                if (said := " ".join(str(error).split())) != self._said:
                    log.error("the new version is left, the old one goes on: %s", said)
                self._said = said
            return False
        if _stamp(self.folder) != stamp:
            return False
        self.answers, self._stamp, self._said = answers, stamp, ""
        self._metrics.switches.labels("loaded").inc()
        self._metrics.served(answers.catalogue)
        log.info("serves version %s now: %s", answers.catalogue.version, answers.summary())
        return True

    def _next(self) -> Answers:
        answers = self._read()
        _ = answers.catalogue.folding  # before it is served
        return answers


def _stamp(folder: Path) -> tuple[int, ...]:
    """What changes when an export is replaced; nothing while there is none."""
    try:
        status = os.stat(current(folder) / CARD)
    except (OSError, ValueError):
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
