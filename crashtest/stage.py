"""Where a run takes place: the stand-in, the database, the workers, and the crowds that are sent from."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from bench import population
from bench.databases import PrivatePostgres
from bench.population import Crowd
from bench.running import StandIn
from crashtest import oracle, scaled
from crashtest.oracle import Verdict
from crashtest.workers import Crew, pump
from sequences.models import Sequence

# Each request meets one of these now and then; together about one in eight.
USUAL_FAULTS = {
    "429": 0.02,
    "429 with Retry-After": 0.005,
    "500": 0.01,
    "502 as HTML": 0.01,
    "503 after acceptance": 0.02,
    "504 after acceptance": 0.02,
    "reset before acceptance": 0.02,
    "reset after acceptance": 0.02,
}
LATENCY = 0.02
FINISH_SECONDS = 240.0
A_WHILE = timedelta(minutes=2)


def an_hour_later() -> datetime:
    return timezone.now() + timedelta(minutes=62)


@dataclass
class Row:
    """A line of the table."""

    name: str
    kills: int
    people: Crowd
    verdict: Verdict | None = None


@dataclass
class Stage:
    standin: StandIn
    crew: Crew
    chance: random.Random
    postgres: PrivatePostgres | None = None
    rows: list[Row] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)

    def usual_faults(
        self, kinds: dict[str, float] | None = None, *, token_life: float = 0.0, revoked: Iterable[str] = ()
    ) -> None:
        """The weather in which workers are killed; `kinds` instead of the usual mix."""
        self.standin.tell(
            "faults",
            latency=LATENCY,
            settle=scaled.SETTLE,
            lag=scaled.LAG,
            new_id_on_send=0.2,
            token_life=token_life,
            revoked=list(revoked),
            kinds=kinds or USUAL_FAULTS,
        )

    def fair_weather(self) -> None:
        self.standin.tell("faults", latency=LATENCY, settle=scaled.SETTLE, lag=scaled.LAG)

    def crowd(self, *, mailboxes: int, each: int) -> Crowd:
        now = timezone.now()
        # A second email, weeks away: else a finished enrollment would hide that the first could leave again.
        people = population.crowd(mailboxes=mailboxes, now=now, delegated=True, steps=2)
        population.enroll(people, each=each, due_at=now)
        return people

    def more(self, people: Crowd) -> None:
        """Enough to do for the next kill."""
        if oracle.unfinished(people.sequences) < 2 * len(people.sequences):
            population.enroll(people, each=2, due_at=timezone.now())

    def leave(self, people: Crowd) -> None:
        """Nobody sends from these any more."""
        Sequence.objects.filter(pk__in=[one.pk for one in people.sequences]).update(state=Sequence.State.PAUSED)

    def finish(self) -> int:
        """Let healthy workers bring everything to rest. Returns how many emails did not come to rest.

        Some may wait for an hour, since a clock that was an hour ahead told them to: then that hour passes.
        """
        self.crew.end()
        self.fair_weather()
        everybody = [sequence for row in self.rows for sequence in row.people.sequences]
        left = oracle.unfinished(everybody)
        for clock in (timezone.now, an_hour_later):
            for _ in range(2):
                self.crew.start(pump(clock=clock))
            give_up_at = time.monotonic() + FINISH_SECONDS
            while left > self._waiting_for_long(everybody, clock) and time.monotonic() < give_up_at:
                time.sleep(0.3)
                left = oracle.unfinished(everybody)
            self.crew.end()
        return left

    def _waiting_for_long(self, sequences: list[Sequence], clock: Callable[[], datetime]) -> int:
        """Emails that wait for a time that is minutes away; none is worth waiting for before their hour comes."""
        return 0 if clock is an_hour_later else oracle.unfinished(sequences, after=clock() + A_WHILE)

    def judge(self) -> None:
        for row in self.rows:
            row.verdict = oracle.judge(self.standin, row.people.sequences)
