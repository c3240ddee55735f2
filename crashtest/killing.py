"""Ways for workers to die, stall and disagree; each fills a row of the table."""

import signal
import time
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from bench import population
from crashtest import scaled
from crashtest.stage import Row, Stage
from crashtest.workers import Doom, SteppedClock, cron, pump
from mailconnect import queue, stopping
from mailconnect.models import MailConnection
from sequences import activating
from sequences.models import Sequence

# Before and after each commit; before, during and after each request.
POINTS = (
    *("begin.before_commit", "begin.after_commit"),
    *("draft.before", "draft.during", "draft.after"),
    *("permit.before_commit", "permit.after_commit"),
    *("send.before", "send.passed", "send.during", "send.after"),
    *("accept.before_commit", "accept.after_commit"),
    *("find.before", "find.after"),
    *("disarm.before", "disarm.after"),
    *("sent_since.before", "sent_since.after"),
    *("settle.before_commit", "settle.after_commit"),
    *("release.before_commit", "release.after_commit"),
)
MAILBOXES = 24
NOTICED_SECONDS = 60.0
PATIENCE = 3.0  # seconds until a worker that does not come by its point is killed all the same


def at_point(stage: Stage, point: str, kills: int) -> None:
    """Two workers at a time, each of which dies where it is told to."""
    row = _row(stage, point)
    while row.kills < kills:
        stage.more(row.people)
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
    _killed(stage, _row(stage, "at random times"), kills, [pump(), pump()], shortest=0.05)


def with_cron_and_two_clusters(stage: Stage, kills: int) -> None:
    _killed(stage, _row(stage, "two workers and cron"), kills, [pump(), pump(), cron])


def with_a_stepping_clock(stage: Stage, kills: int) -> None:
    bodies = [pump(clock=SteppedClock(stage.chance)), pump()]
    _killed(stage, _row(stage, "clock stepped by an hour"), kills, bodies)


def while_tokens_expire(stage: Stage, kills: int) -> None:
    """Access tokens live for seconds; a quarter of the owners withdraw their consent, and connect again later."""
    row = _row(stage, "tokens expire, or are revoked")
    for connection in row.people.connections:
        population.give_tokens(connection, timezone.now(), seconds=60)  # too little to begin a call with
    withdrawn = row.people.connections[::4]
    stage.usual_faults(token_life=2.0, revoked=[f"box-{connection.pk}" for connection in withdrawn])
    _killed(stage, row, kills, [pump(), pump()])
    stage.crew.start(pump())
    lost = MailConnection.objects.filter(pk__in=[one.pk for one in withdrawn], state=MailConnection.State.RECONNECT)
    give_up_at = time.monotonic() + NOTICED_SECONDS
    while lost.count() < len(withdrawn):
        if time.monotonic() > give_up_at:
            raise RuntimeError("A mailbox whose consent was withdrawn still counts as connected.")
        time.sleep(0.1)
    stage.crew.end()
    stage.usual_faults()
    for connection in lost:
        _connect_again(connection)


def _connect_again(connection: MailConnection) -> None:
    """What signing in at Microsoft once more leads to; then its sequences are resumed."""
    now = timezone.now()
    population.give_tokens(connection, now)
    with transaction.atomic():
        connection.state, connection.reason = MailConnection.State.CONNECTED, ""
        connection.save(update_fields=["state", "reason"])
        stopping.allow_again(connection, now)
    for sequence in Sequence.objects.filter(connection=connection, state=Sequence.State.PAUSED):
        activating.start(sequence=sequence, actor=sequence.owner, now=now)


def _row(stage: Stage, name: str) -> Row:
    row = Row(name, 0, stage.crowd(mailboxes=MAILBOXES, each=3))
    stage.rows.append(row)
    return row


def _killed(stage: Stage, row: Row, kills: int, bodies: list[Callable[[], None]], *, shortest: float = 0.2) -> None:
    """All of them run; one at a time is killed and started again."""
    running = [stage.crew.start(body) for body in bodies]
    while row.kills < kills:
        stage.more(row.people)
        time.sleep(stage.chance.uniform(shortest, 0.8))
        index = stage.chance.randrange(len(bodies))
        stage.crew.kill(running[index])
        stage.crew.wait(running[index], 5)
        row.kills += 1
        running[index] = stage.crew.start(bodies[index])
    stage.crew.end()


def all_together(stage: Stage, kills: int) -> None:
    row = _row(stage, "all together")
    while row.kills < kills:
        stage.more(row.people)
        for _ in range(3):
            stage.crew.start(pump())
        time.sleep(stage.chance.uniform(0.1, 0.9))
        stage.crew.end()
        row.kills += 3


def stopped_past_the_lease(
    stage: Stage,
    stops: int,
    *,
    points: tuple[str, ...] = POINTS,
    name: str = "",
    asleep: tuple[float, float] = (0.3, scaled.RESENT),
) -> None:
    """SIGSTOP at a point, SIGCONT when others have long taken over: zombies.

    They wake so many seconds, between the two of `asleep`, after their lease is over: when their emails have been
    looked for, decided about, or sent again.
    """
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
        time.sleep(scaled.LEASE + stage.chance.uniform(*asleep))
        for _ in range(2):  # some come by their point only now, and must not keep a transaction open
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
    stage.usual_faults({kind: likelihood})
    for _ in range(2):
        stage.crew.start(pump())
    time.sleep(3.0)
    stage.crew.end()
    stage.usual_faults()
