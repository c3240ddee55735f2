"""Negative controls: what others do, and our own protocol with a rule missing. Each of them must fail.

A crash test that finds nothing wrong with these would find nothing wrong with anything.
"""

import inspect
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.db import connection as database
from django.utils import timezone

from crashtest import killing, oracle, restoring, revoking, scaled
from crashtest.oracle import Verdict
from crashtest.stage import Row, Stage
from crashtest.workers import pump
from mailconnect import queue
from mailconnect.microsoft.errors import MicrosoftError
from mailconnect.microsoft.graph import Draft, GraphClient, MailItem, graph_root
from mailconnect.microsoft.wire import Wire
from mailconnect.models import DelegationGrant
from sequences import reconciling
from sequences.models import Enrollment, Sequence

EPOCH_RULES = {
    "lease_epoch = lease_epoch + 1": "lease_epoch = lease_epoch",
    " AND lease_owner IS NOT NULL ORDER BY id": " ORDER BY id",
}
TASK_EMAILS = 10
KILLS = 12
TASK_SECONDS = 3.0  # after which a task that was begun and not finished begins anew


def mark_after_send() -> None:
    """Take a due email, send it, then mark it: a task that is delivered at least once."""
    _one_by_one(before=lambda row: _take(row), after=lambda row: _finish(row))


def mark_before_send() -> None:
    """Mark it, then send it: a task that is delivered at most once."""
    _one_by_one(before=lambda row: _finish(row), after=lambda row: None)


def check_at_start() -> None:
    """The permission is asked when the task starts; a draft and a queue later, it is sent."""

    def allowed(row: Enrollment) -> bool:
        live = DelegationGrant.objects.live(timezone.now()).filter(connection=row.connection_id)
        return live.exists() and _take(row)

    _one_by_one(before=allowed, after=lambda row: _finish(row))


def _one_by_one(before: Callable[[Enrollment], bool], after: Callable[[Enrollment], Any]) -> None:
    """Tasks of a few emails each."""
    wire = Wire(graph_root())
    while True:
        due = Enrollment.objects.filter(
            state="active", due_at__lte=timezone.now(), sequence__state=Sequence.State.ACTIVE
        ).order_by("due_at")
        for row in [row for row in due.select_related("candidate")[:TASK_EMAILS] if before(row)]:
            with suppress(MicrosoftError):
                _send(wire, row)
                after(row)
        time.sleep(0.02)


def _send(wire: Wire, row: Enrollment) -> None:
    assert row.connection_id
    graph = GraphClient(wire, row.connection_id, f"box-{row.connection_id}")
    item = graph.create_draft(
        Draft(
            key=str(uuid.uuid4()), to_address=row.candidate.email, to_name="", subject="Hello", body_html="<p>Hello</p>"
        )
    )
    graph._call("POST", f"/me/messages/{item.id}/send", expected=202)


def _take(row: Enrollment) -> bool:
    until = timezone.now() + timedelta(seconds=TASK_SECONDS)
    return bool(Enrollment.objects.filter(pk=row.pk, due_at=row.due_at).update(due_at=until))


def _finish(row: Enrollment) -> bool:
    return bool(Enrollment.objects.filter(pk=row.pk, state="active").update(state="finished", due_at=None))


@contextmanager
def leases_without_an_epoch() -> Iterator[None]:
    """Every lease of a mailbox has the same number, so that who wakes up late cannot be told from who took over."""
    if gone := [rule for rule in EPOCH_RULES if rule not in inspect.getsource(queue)]:
        raise RuntimeError(f"The queue no longer says {gone}: this control takes nothing out.")

    def without(execute: Callable[..., Any], statement: str, *others: Any) -> Any:
        for rule, nothing in EPOCH_RULES.items():
            statement = statement.replace(rule, nothing)
        return execute(statement, *others)

    with database.execute_wrapper(without):
        yield


@contextmanager
def hasty_reconciling() -> Iterator[None]:
    """A draft is taken for one that was never submitted as soon as it is seen."""
    least, reconciling.LEAST_LOOKS = reconciling.LEAST_LOOKS, 0
    try:
        yield
    finally:
        reconciling.LEAST_LOOKS = least


@contextmanager
def drafts_that_stay_armed() -> Iterator[None]:
    """A draft that was never submitted is replaced, and whoever has a permit for the old one can still submit it."""
    disarm, is_armed = GraphClient.disarm, MailItem.is_armed
    GraphClient.disarm = lambda *_, **__: True  # type: ignore[method-assign]
    MailItem.is_armed = property(lambda _: False)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        GraphClient.disarm, MailItem.is_armed = disarm, is_armed  # type: ignore[method-assign]


def sent_then_marked(stage: Stage) -> bool:
    return _kill_those(stage, "control: mark after send", mark_after_send).duplicates > 0


def marked_then_sent(stage: Stage) -> bool:
    return _kill_those(stage, "control: mark before send", mark_before_send).lost > 0


def short_cool_down(stage: Stage) -> bool:
    """Ours, but Microsoft takes longer to settle than we wait: drafts that were submitted look as if they were not."""
    people = stage.crowd(mailboxes=8, each=4)
    row = Row("control: cool-down too short", 0, people)
    stage.rows.append(row)
    stage.standin.tell("faults", latency=0.02, settle=10 * scaled.COOL_DOWN, kinds={"reset after acceptance": 0.3})
    with hasty_reconciling():
        for _ in range(2):
            stage.crew.start(pump(cool_down=0.2))
        time.sleep(3 * scaled.LEASE)
    stage.crew.end()
    stage.leave(people)
    row.verdict = oracle.judge(stage.standin, people.sequences)
    return row.verdict.duplicates > 0


def without_an_epoch(stage: Stage) -> bool:
    """Ours, but a worker that wakes up after its lease is not fenced off."""
    stage.usual_faults({"429": 0.4})
    with leases_without_an_epoch():
        killing.stopped_past_the_lease(
            stage, 8, points=("settle.before_commit",), name="control: lease without an epoch"
        )
    row = stage.rows[-1]
    stage.leave(row.people)
    row.verdict = oracle.judge(stage.standin, row.people.sequences)
    return row.verdict.duplicates > 0


def without_disarming(stage: Stage) -> bool:
    """Ours, but a worker that was frozen between its permit's check and the first byte finds its draft as it was."""
    stage.fair_weather()
    with drafts_that_stay_armed():
        killing.stopped_past_the_lease(
            stage,
            4,
            points=("send.passed",),
            name="control: drafts stay armed",
            asleep=(scaled.RESENT, scaled.RESENT),
        )
    row = stage.rows[-1]
    stage.leave(row.people)
    row.verdict = oracle.judge(stage.standin, row.people.sequences)
    return row.verdict.duplicates > 0


def restored_in_silence(stage: Stage) -> bool:
    """Ours, but nobody ran `manage.py restored` after an old backup came back (SQLite)."""
    restoring.an_old_backup(stage, tell=False)
    row = stage.rows[-1]
    stage.leave(row.people)
    row.verdict = oracle.judge(stage.standin, row.people.sequences)
    return row.verdict.duplicates > 0


def checked_at_the_start(stage: Stage) -> bool:
    return revoking.revoke_at_random(stage, 60, check_at_start).late > 0


def _kill_those(stage: Stage, name: str, body: Callable[[], None]) -> Verdict:
    """Kill workers of a control at random times, as `killing.at_random_times` kills ours."""
    people = stage.crowd(mailboxes=killing.MAILBOXES, each=6)
    row = Row(name, 0, people)
    stage.rows.append(row)
    stage.standin.tell("faults", latency=0.05)
    running = [stage.crew.start(body) for _ in range(2)]
    while row.kills < KILLS:
        time.sleep(stage.chance.uniform(0.3, 0.9))
        pid = running.pop(0)
        stage.crew.kill(pid)
        stage.crew.wait(pid, 5)
        row.kills += 1
        running.append(stage.crew.start(body))
    time.sleep(2 * TASK_SECONDS)
    stage.crew.end()
    stage.leave(people)
    row.verdict = oracle.judge(stage.standin, people.sequences)
    return row.verdict


CONTROLS: dict[str, Callable[[Stage], bool]] = {
    "mark after send": sent_then_marked,
    "mark before send": marked_then_sent,
    "check at start": checked_at_the_start,
    "cool-down shorter than the settle time": short_cool_down,
    "lease without an epoch": without_an_epoch,
    "drafts that stay armed": without_disarming,
}
