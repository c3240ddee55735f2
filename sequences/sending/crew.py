"""The threads that talk to Microsoft, and nothing else."""

import logging
import threading
import time
from queue import Empty, SimpleQueue

from mailconnect.outbox import Kind, Outbox, Outcome
from sequences.sending.letters import Errand

IDLE_SECONDS = 0.002  # between two rounds without a call under way

logger = logging.getLogger(__name__)


class Crew:
    """Up to `size` errands under way at once; threads are started as they are needed."""

    def __init__(self, outbox: Outbox, size: int) -> None:
        self.size = size
        self.out = 0  # given and not yet collected; the caller's thread alone counts
        self._outbox = outbox
        self._todo: SimpleQueue[Errand | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Errand, Outcome]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def free(self) -> int:
        """How many more errands may be given: as many again as there are threads, so that none waits for a round."""
        return 2 * self.size - self.out

    def give(self, errand: Errand) -> None:
        self.out += 1
        self._todo.put(errand)
        if len(self._threads) < min(self.size, self.out):
            # A daemon: a call that hangs must not keep the program alive once its time is over.
            thread = threading.Thread(target=self._work, daemon=True, name=f"crew-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()

    def collect(self, *, seconds: float, gather: float = 0.0) -> list[tuple[Errand, Outcome]]:
        """The outcomes that are there. Waits for a first one, then up to `gather` seconds for half of all: what is
        written for many at once costs little for each."""
        found: list[tuple[Errand, Outcome]] = []
        if not self.out:
            time.sleep(IDLE_SECONDS)
            return found
        try:
            found.append(self._done.get(timeout=seconds))
        except Empty:
            return found
        enough, until = self.out // 2, time.monotonic() + gather
        while self._done.qsize() < enough and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.005))
        while not self._done.empty():
            found.append(self._done.get_nowait())
        self.out -= len(found)
        return found

    def dismiss(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join(0.0 if self.out else 5.0)

    def _work(self) -> None:
        try:
            while (errand := self._todo.get()) is not None:
                self._done.put((errand, self._outcome(errand)))
        finally:
            self._outbox.close_thread()

    def _outcome(self, errand: Errand) -> Outcome:
        try:
            return errand.call()
        except Exception:
            # Our own fault: what it did at Microsoft is unknown, and the line must go on.
            logger.exception("A call to Microsoft broke.")
            return Outcome(kind=Kind.UNKNOWN, reason="broken")
