"""Workers that sleep, die or are told to end in the middle, and databases that go away or come from a backup."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections
from django.db import connection as database

from accounts.models import User
from mailconnect import ending, queue
from mailconnect.models import MailConnection
from sequences.models import Enrollment, Message, Sequence
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.making import message_of
from tests.sequences.outreach import active_sequence, connected, enrolled
from tests.sequences.test_sending import ALICE, pump

pytestmark = pytest.mark.django_db(transaction=True)
State = Message.State


@pytest.fixture
def mailbox(alice: User, tenant: SandboxTenant, now: datetime) -> MailConnection:
    return connected(alice, tenant, now)


@pytest.fixture
def sequence(alice: User, mailbox: MailConnection) -> Sequence:
    return active_sequence(alice, mailbox)


def later(now: datetime, **delta: float) -> Callable[[], datetime]:
    return lambda: now + timedelta(**delta)


def send_in_rounds(tenant: SandboxTenant, now: datetime, *minutes: float) -> None:
    """Our clock leaps, so the sandbox does too: or an email would seem to stay in Drafts for an hour."""
    for each in minutes:
        tenant.settle()
        pump(clock=later(now, minutes=each)).run(seconds=10)


def breaks_once(where: str) -> Callable[[str], None]:
    """An observer that breaks the round in which this point is first reached."""
    reached: list[str] = []

    def observe(point: str) -> None:
        if point == where and not reached:
            reached.append(point)
            raise RuntimeError("broken")

    return observe


class Sleeper:
    """A worker that falls asleep at a point of the way, until it is woken."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._asleep, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._asleep.wait(20)

    def _run(self) -> None:
        try:
            pump(observe=self._observe).run(seconds=10)
        finally:
            connections.close_all()

    def _observe(self, point: str) -> None:
        if point == self._point and not self._asleep.is_set():
            self._asleep.set()
            self._woken.wait()

    def wake(self) -> None:
        self._woken.set()
        self._thread.join()


@pytest.mark.parametrize(
    ("point", "asleep"),
    [
        ("begin.after_commit", 0.0),
        ("draft.before", 0.0),
        ("draft.after", 0.0),
        ("permit.after_commit", 0.0),
        ("permit.after_commit", 5.2),  # longer than a permit lives
        ("send.after", 0.0),
        ("accept.after_commit", 0.0),
    ],
)
def test_a_zombie_sends_nothing_twice(
    tenant: SandboxTenant, sequence: Sequence, now: datetime, point: str, asleep: float
) -> None:
    enrolled(sequence, 2, now)
    zombie = Sleeper(point)
    MailConnection.objects.filter(lease_owner__isnull=False).update(lease_until=now - timedelta(minutes=1), due_at=now)
    pump().run(seconds=10)
    time.sleep(asleep)

    zombie.wake()
    send_in_rounds(tenant, now, 2, 3, 5, 10, 30, 31, 32, 35, 41, 57, 58)

    assert len(tenant.sent(ALICE, 2)) == 2
    assert set(tenant.submits().values()) == {1}
    assert tenant.messages(ALICE, "drafts") == []
    assert set(Enrollment.objects.values_list("state", flat=True)) == {Enrollment.State.FINISHED}


def test_a_worker_that_freezes_at_the_first_byte_sends_nothing_twice(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    """It has passed every check, and wakes up when its email has long been sent in another's name."""
    enrolled(sequence, 1, now)
    zombie = Sleeper("send.passed")
    MailConnection.objects.filter(lease_owner__isnull=False).update(lease_until=now - timedelta(minutes=1), due_at=now)
    send_in_rounds(tenant, now, 2, 3, 4, 7, 13, 29)
    assert Message.objects.get().reason == "disarmed"
    send_in_rounds(tenant, now, 30, 31, 34, 40, 56, 57)
    assert len(tenant.sent(ALICE, 1)) == 1

    zombie.wake()
    tenant.settle()

    assert [call.status for call in tenant.calls(ALICE, "send")] == [202, 400]
    assert len(tenant.messages(ALICE, "sentitems")) == 1
    assert Enrollment.objects.get().state == Enrollment.State.FINISHED


@pytest.mark.postgres
def test_a_worker_that_freezes_in_a_transaction_holds_up_no_removal_for_long(
    alice: User, tenant: SandboxTenant, sequence: Sequence, mailbox: MailConnection, now: datetime
) -> None:
    enrolled(sequence, 2, now)
    frozen = Sleeper("permit.before_commit")

    ending.remove(connection=mailbox, actor=alice, now=now)

    assert tenant.submits() == {}
    frozen.wake()
    send_in_rounds(tenant, now, 2, 3, 5)
    assert tenant.messages(ALICE) == []


def test_a_worker_that_is_told_to_end_leaves_all_to_the_next(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 20, now)
    tenant.fault(ALICE, "create_draft", "slow", times=-1, seconds=0.1)
    told = threading.Event()
    threading.Timer(0.4, told.set).start()

    pump(stop=told.is_set).run(seconds=30)

    left = Message.objects.filter(state=State.ACCEPTED).count()
    assert left < 20
    states = set(Message.objects.values_list("state", flat=True))
    assert states <= {State.ACCEPTED, State.PLANNED, State.DRAFTED}
    assert MailConnection.objects.get().lease_owner is None
    pump(clock=later(now, seconds=10)).run(seconds=20)
    assert len(tenant.sent(ALICE, 20)) == 20
    assert set(tenant.submits().values()) == {1}


def test_send_due_winds_up_when_it_is_told_to_end(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 1, now)
    tenant.fault(ALICE, "create_draft", "slow", times=-1, seconds=2.0)
    threading.Timer(0.7, os.kill, [os.getpid(), signal.SIGTERM]).start()

    call_command("send_due", stdout=StringIO())

    assert Message.objects.get().state == State.DRAFTED
    assert MailConnection.objects.get().lease_owner is None


def test_a_database_that_goes_away_for_a_moment_loses_nothing(
    tenant: SandboxTenant, sequence: Sequence, now: datetime
) -> None:
    enrolled(sequence, 10, now)
    rounds = iter(range(1000))

    def away_now_and_then(point: str) -> None:
        if point == "accept.before_commit" and next(rounds) % 2 == 0:
            database.close()
            raise OperationalError("gone")

    pump(observe=away_now_and_then).run(seconds=20)

    assert len(tenant.sent(ALICE, 10)) == 10
    assert set(tenant.submits().values()) == {1}
    assert Enrollment.objects.filter(state=Enrollment.State.FINISHED).count() == 10


def test_a_round_that_breaks_keeps_what_is_known(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    enrolled(sequence, 1, now)

    pump(observe=breaks_once("accept.before_commit")).run(seconds=10)

    assert len(tenant.sent(ALICE, 1)) == 1
    assert Message.objects.get().state == State.ACCEPTED


def test_a_round_that_breaks_begins_nothing_and_keeps_its_mailboxes(
    tenant: SandboxTenant, alice: User, sequence: Sequence, now: datetime
) -> None:
    """They are due again when their leases run out: at once, the round would break again and again."""
    enrolled(sequence, 3, now)
    (signed_in,) = tenant.crowd(1)
    owner = User.objects.create_user(signed_in.address, organization=alice.organization)
    at_rest = connected(owner, tenant, now, signed_in)
    queue.ring([at_rest.pk], at=now)

    pump(observe=breaks_once("begin.before_commit")).run(seconds=2)

    assert not Message.objects.exists()
    assert Enrollment.objects.filter(due_at__isnull=False).count() == 3
    assert MailConnection.objects.filter(lease_owner__isnull=False).count() == 2


def test_an_impossible_window_stops_no_other(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, sequence: Sequence, now: datetime
) -> None:
    """Its email was drafted before."""
    (drafted,) = enrolled(sequence, 1, now)
    message_of(drafted, sequence.steps.get(), State.DRAFTED, now, draft_id="old")
    Enrollment.objects.update(due_at=None)
    enrolled(active_sequence(alice, mailbox), 2, now)
    Sequence.objects.filter(pk=sequence.pk).update(window_days="9")

    pump().run(seconds=5)

    assert len(tenant.sent(ALICE, 2)) == 2
    drafted.refresh_from_db()
    assert drafted.due_at
    assert drafted.due_at > now + timedelta(minutes=30)


@pytest.mark.parametrize("lost", ["row", "state"])
def test_a_restored_database_sends_nothing_that_had_left(
    tenant: SandboxTenant, sequence: Sequence, now: datetime, lost: str
) -> None:
    enrollment, _ = enrolled(sequence, 2, now)
    pump().run(seconds=10)
    tenant.sent(ALICE, 2)
    if lost == "row":
        Message.objects.all().delete()
    else:
        Message.objects.update(state=State.DRAFTED, check_at=now)
    Enrollment.objects.update(state="active", next_position=1, due_at=now if lost == "row" else None, last_sent_at=None)
    queue.mark_restored(now + timedelta(seconds=30))
    MailConnection.objects.update(due_at=now)

    send_in_rounds(tenant, now, 1, 2, 3, 20, 40)

    assert set(tenant.submits().values()) == {1}
    assert len(tenant.messages(ALICE, "")) == 2
    enrollment.refresh_from_db()
    assert enrollment.state == Enrollment.State.FINISHED


def test_one_poisoned_email_never_stops_the_others(tenant: SandboxTenant, sequence: Sequence, now: datetime) -> None:
    poisoned, *_ = enrolled(sequence, 5, now)
    type(poisoned.candidate).objects.filter(pk=poisoned.candidate_id).update(fields="no mapping at all")

    pump().run(seconds=10)

    assert len(tenant.sent(ALICE, 4)) == 4
    poisoned.refresh_from_db()
    assert poisoned.due_at
    assert poisoned.due_at > now + timedelta(minutes=30)


def test_several_failing_mailboxes_stop_all_calls_for_a_while(
    alice: User, tenant: SandboxTenant, now: datetime
) -> None:
    signed_in = tenant.crowd(24)
    for each in signed_in:
        owner = User.objects.create_user(each.address, organization=alice.organization)
        enrolled(active_sequence(owner, connected(owner, tenant, now, each)), 2, now)
        tenant.fault(each.address, "any", "status", times=-1, status=503)

    pump(in_flight=2).run(seconds=3)

    asked = sum(bool(tenant.calls(each.address)) for each in signed_in)
    assert asked < 24
    assert Counter(MailConnection.objects.values_list("held_reason", flat=True))["microsoft_unavailable"] == asked
