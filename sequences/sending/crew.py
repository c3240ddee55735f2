"""The threads that talk to Microsoft, and nothing else."""

import logging
import threading
import time
from queue import Empty, SimpleQueue

from mailconnect.outbox import Kind, Outbox, Outcome
from sequences.sending.letters import Errand

IDLE_SECONDS = 0.002  # between two rounds without a call under way
# Where even the quickest call takes longer, threads wait for the network, and more of them do more. Where it does not,
# they wait for each other: a few do all that there is to do.
NEAR_SECONDS = 0.002
THREADS_WHEN_NEAR = 3
MOST_WHEN_NEAR = 16
# A permit lasts for seconds: only where calls usually take less than this may more of them wait for a thread.
QUICK_SECONDS = 0.5
UNKNOWN_SECONDS = 2 * QUICK_SECONDS

logger = logging.getLogger(__name__)


class Crew:
    """Up to `size` errands under way at once; threads are started as they are needed."""

    def __init__(self, outbox: Outbox, size: int) -> None:
        self.size = size
        self.out = 0  # given and not yet collected; the caller's thread alone counts
        self._outbox = outbox
        self._todo: SimpleQueue[Errand | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Errand, Outcome, float]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # What calls take: of the last ones the quickest (none: not known yet), and the mean of about as many as may be
        # under way.
        self._quickest: float | None = None
        self._usual = UNKNOWN_SECONDS

    @property
    def capacity(self) -> int:
        """How many errands may be given and not yet collected: twice as many again as may be under way, so that no
        thread waits for a round; fewer where they are slow. Where they take no time as many as are done in about a
        second, so that many share a round.
        """
        store = (3 if self._usual < QUICK_SECONDS else 2) * self.size
        if self._is_near:
            store = max(store, min(MOST_WHEN_NEAR * self.size, int(THREADS_WHEN_NEAR / self._usual)))
        return store

    @property
    def _is_near(self) -> bool:
        return self._quickest is not None and self._quickest < NEAR_SECONDS

    @property
    def free(self) -> int:
        return self.capacity - self.out

    def give(self, errand: Errand) -> None:
        self.out += 1
        self._todo.put(errand)
        self._hire()

    def _hire(self) -> None:
        """As many threads as are of use. Daemons: a call that hangs must not keep the program alive for ever."""
        useful = THREADS_WHEN_NEAR if self._quickest is None or self._is_near else self.size
        while len(self._threads) < min(useful, self.size, self.out):
            thread = threading.Thread(target=self._work, daemon=True, name=f"crew-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()

    def collect(self, *, seconds: float, gather: float = 0.0) -> list[tuple[Errand, Outcome]]:
        """The outcomes that are there. Waits for a first one, then up to `gather` seconds for half of all: what is
        written for many at once costs little for each."""
        if not self.out:
            time.sleep(IDLE_SECONDS)
            return []
        try:
            found = [self._done.get(timeout=seconds)]
        except Empty:
            self._learn(seconds)
            return []
        enough, until = self.out // 2, time.monotonic() + gather
        while self._done.qsize() < enough and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.005))
        while not self._done.empty():
            found.append(self._done.get_nowait())
        self.out -= len(found)
        # What never came as far as Microsoft (a lapsed permit, no token) takes no time, and tells nothing.
        if answered := [took for _, outcome, took in found if outcome.kind in (Kind.DONE, Kind.REFUSED)]:
            self._usual += (sum(answered) - len(answered) * self._usual) / max(self.size, len(answered))
            self._learn(min(answered))
        return [(errand, outcome) for errand, outcome, _ in found]

    def _learn(self, quickest: float) -> None:
        self._quickest = quickest
        self._hire()

    def dismiss(self) -> None:
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join(0.0 if self.out else 5.0)

    def _work(self) -> None:
        try:
            while (errand := self._todo.get()) is not None:
                began = time.monotonic()
                self._done.put((errand, self._outcome(errand), time.monotonic() - began))
        finally:
            self._outbox.close_thread()

    def _outcome(self, errand: Errand) -> Outcome:
        try:
            return errand.call()
        except Exception:
            # Our own fault: what it did at Microsoft is unknown, and the line must go on.
            logger.exception("A call to Microsoft broke.")
            return Outcome(kind=Kind.UNKNOWN, reason="broken")
