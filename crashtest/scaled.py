"""Minutes become seconds, so that a run ends within minutes. The proportions stay: what rests on them is kept true.

Microsoft (the stand-in) settles within SETTLE and its search lags by at most LAG; a call ends within READ. The
cool-down is longer than all of these and the permit's life together, as in production, where it is 15 minutes.
"""

from datetime import timedelta

from mailconnect import permission, queue, stopping, tokens
from mailconnect.microsoft import wire
from sequences import reconciling
from sequences.sending import Pace, pace, pump, settling

SETTLE = 0.3
LAG = 0.2
READ = 1.0
PERMIT = 0.7
LEASE = 3
LAST_START = 1.5  # before the lease's end: a call that begins then has ended by it
LOOK = timedelta(seconds=4.5)  # what a dead worker had under way is looked for after that: later than its lease's end
COOL_DOWN = 4.0
RESENT = 16.0  # after the lease, an ambiguous email has been looked at often enough, twice, and has been sent again
assert PERMIT + READ + SETTLE + LAG < COOL_DOWN


def apply() -> None:
    """In this program only."""
    queue.LEASE_SECONDS, queue.LAST_START_SECONDS = LEASE, LAST_START  # type: ignore[assignment]
    queue.FROZEN_SECONDS = 1
    for module in (permission, stopping):
        setattr(module, "PERMIT_LIFE_SECONDS", PERMIT)  # noqa: B010 - a name that they have imported
    wire.READ_SECONDS = READ
    wire.Wire.__init__.__kwdefaults__["read_seconds"] = READ  # type: ignore[index]
    tokens.LEASE, tokens.COOL_DOWN = timedelta(seconds=LEASE), timedelta(seconds=0.5)
    settling.LOOK_FOR_DRAFT = settling.LOOK_FOR_SENT = LOOK
    reconciling.PAUSES = tuple(timedelta(seconds=seconds) for seconds in (0.5, 1.0, 2.0))
    pace.FIRST_REST, pace.LONGEST_REST = 0.1, 0.5
    pace.Breaker.MAILBOXES = 1_000_000  # else it would rest while the faults last, as it should
    pump.ENDING_SECONDS = 2.0
    pump.LOOK_AGAIN_SECONDS = 0.1
    pump.DRAFTED_AGAIN = timedelta(seconds=0.5)


def quick(*, cool_down: float = COOL_DOWN) -> Pace:
    """As fast as it goes: mailboxes without distance between two emails."""
    return Pace(per_minute=None, burst=3, settle_seconds=0.4, cool_down=timedelta(seconds=cool_down))
