"""Ways for workers to die, stall and disagree; each fills a row of the table."""

import signal
import time
from collections.abc import Callable, Sequence

from django.utils import timezone

from crashtest import scaled
from crashtest.stage import Row, Stage
from crashtest.workers import Doom, SteppedClock, cron, pump
from mailconnect import queue

# Before and after each commit; before, during and after each request.
POINTS = (
    *("begin.before_commit", "begin.after_commit"),
    *("draft.before", "draft.during", "draft.after"),
    *("permit.before_commit", "permit.after_commit"),
    *("send.before", "send.during", "send.after"),
    *("accept.before_commit", "accept.after_commit"),
    *("find.before", "find.after"),
    *("sent_since.before", "sent_since.after"),
    *("settle.before_commit", "settle.after_commit"),
    *("release.before_commit", "release.after_commit"),
)
MAILBOXES = 24
PATIENCE = 3.0  # seconds until a worker that does not come by its point is killed all the same


def at_point(stage: Stage, point: str, kills: int) -> None:
    """Two workers at a time, each of which dies where it is told to."""
    people = stage.crowd(mailboxes=MAILBOXES, each=3)
    row = Row(point, 0, people)
    stage.rows.append(row)
    while row.kills < kills:
        stage.more(people)
        doomed = [
            stage.crew.start(pump(observe=Doom(point, stage.chance.randint(1, 3))))
            for _ in range(min(2, kills - row.kills))
        ]
        for pid in doomed:
            if stage.crew.wait(pid, PATIENCE):
                stage.reached[point] += 1
            else:
                stage.crew.kill(pid)
                stage.crew.wait(pid, 5)
            row.kills += 1


def at_random_times(stage: Stage, kills: int) -> None:
    _killed(stage, "at random times", kills, [pump(), pump()], lambda: stage.chance.uniform(0.05, 0.8))


def with_cron_and_two_clusters(stage: Stage, kills: int) -> None:
    _killed(stage, "two workers and cron", kills, [pump(), pump(), cron], lambda: stage.chance.uniform(0.2, 0.8))


def with_a_stepping_clock(stage: Stage, kills: int) -> None:
    bodies = [pump(clock=SteppedClock(stage.chance)), pump()]
    _killed(stage, "clock stepped by an hour", kills, bodies, lambda: stage.chance.uniform(0.2, 0.8))


def _killed(stage: Stage, name: str, kills: int, bodies: list[Callable[[], None]], life: Callable[[], float]) -> None:
    """All of them run; one at a time is killed and started again."""
    people = stage.crowd(mailboxes=MAILBOXES, each=3)
    row = Row(name, 0, people)
    stage.rows.append(row)
    running = [stage.crew.start(body) for body in bodies]
    while row.kills < kills:
        stage.more(people)
        time.sleep(life())
        index = stage.chance.randrange(len(bodies))
        stage.crew.kill(running[index])
        stage.crew.wait(running[index], 5)
        row.kills += 1
        running[index] = stage.crew.start(bodies[index])
    stage.crew.end()


def all_together(stage: Stage, kills: int) -> None:
    people = stage.crowd(mailboxes=MAILBOXES, each=3)
    row = Row("all together", 0, people)
    stage.rows.append(row)
    while row.kills < kills:
        stage.more(people)
        for _ in range(3):
            stage.crew.start(pump())
        time.sleep(stage.chance.uniform(0.1, 0.9))
        stage.crew.end()
        row.kills += 3


def stopped_past_the_lease(stage: Stage, stops: int, *, points: Sequence[str] = POINTS, name: str = "") -> None:
    """SIGSTOP at a point, SIGCONT when others have long taken over: zombies."""
    people = stage.crowd(mailboxes=MAILBOXES, each=4)
    row = Row(name or "stopped past the lease", 0, people)
    stage.rows.append(row)
    while row.kills < stops:
        stage.more(people)
        dooms = [Doom(stage.chance.choice(points), stage.chance.randint(1, 3), signal.SIGSTOP) for _ in range(4)]
        zombies = [stage.crew.start(pump(observe=doom)) for doom in dooms]
        time.sleep(1.0)
        for pid in zombies:
            stage.crew.kill(pid, signal.SIGSTOP)
        successor = stage.crew.start(pump())
        # Some wake when the lease is over, some when their emails have been decided about too.
        time.sleep(scaled.LEASE + stage.chance.choice([0.3, scaled.DECIDED]))
        for pid in zombies:
            stage.crew.kill(pid, signal.SIGCONT)
        time.sleep(1.0)
        # A bell that rings anywhere, any time, must do no harm.
        queue.ring([connection.pk for connection in people.connections], at=timezone.now())
        time.sleep(1.5)
        for pid in (*zombies, successor):
            stage.crew.kill(pid)
            stage.crew.wait(pid, 5)
        row.kills += len(zombies)


def database_away(stage: Stage, seconds: float) -> None:
    """The database dies in the middle of a wave and comes back; the workers live on."""
    if stage.postgres is None:
        return
    people = stage.crowd(mailboxes=MAILBOXES, each=12)
    stage.rows.append(Row(f"database away for {seconds:.0f} s", 0, people))
    for _ in range(2):
        stage.crew.start(pump())
    time.sleep(1.0)
    stage.postgres.stop()
    time.sleep(seconds)
    stage.postgres.start()
    time.sleep(scaled.LEASE)
    stage.crew.end()


def with_fault(stage: Stage, kind: str, likelihood: float) -> None:
    """Nobody is killed; Microsoft answers like this, often."""
    people = stage.crowd(mailboxes=8, each=4)
    stage.rows.append(Row(f"Microsoft: {kind}", 0, people))
    stage.usual_faults(**{kind: likelihood})
    for _ in range(2):
        stage.crew.start(pump())
    time.sleep(3.0)
    stage.crew.end()
    stage.usual_faults()
