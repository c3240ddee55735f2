"""What comes back stops what would have left: the pump and the door in, together."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.models import User
from mailconnect import queue
from mailconnect.models import MailConnection
from sequences.models import Enrollment, Message, Suppression
from sequences.replies.looking import look_into, look_into_all, take_in
from sequences.sending import Pace, Pump
from sequences.sending.pace import Breaker
from tests.at_once import at_once
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.letters import letter
from tests.sequences.outreach import active_sequence, connected, enrolled

pytestmark = pytest.mark.django_db(transaction=True)
ALICE = "alice@demo.example"
FIRST, SECOND = "candidate0@talent.example", "candidate1@talent.example"


@pytest.fixture
def mailbox(alice: User, tenant: SandboxTenant, now: datetime) -> MailConnection:
    return connected(alice, tenant, now)


def pump(now: datetime, **fields: Any) -> None:
    """Send what is due at `now`."""
    usual: dict[str, Any] = {"clock": lambda: now, "pace": Pace(per_minute=None), "in_flight": 8, "breaker": Breaker()}
    Pump(**usual | fields).run(seconds=5)


def enroll_two(alice: User, mailbox: MailConnection, now: datetime, number: int = 2) -> list[Enrollment]:
    """In a sequence whose second email is due at once after the first."""
    return enrolled(active_sequence(alice, mailbox, ("<p>Hello</p>", "<p>And again</p>")), number, now)


@pytest.mark.parametrize("answer", ["human", "unsubscribe", "bounce"])
def test_sends_no_second_email_to_who_answered(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime, answer: str
) -> None:
    enroll_two(alice, mailbox, now)
    pump(now)
    tenant.sent(ALICE, 2)
    tenant.reply_as_candidate(ALICE, answer, to=FIRST)
    later = now + timedelta(minutes=1)

    assert look_into_all(clock=lambda: later) == 1
    pump(later)
    pump(later + timedelta(minutes=1))

    assert sorted(mail.to for mail in tenant.sent(ALICE, 3)) == [(FIRST,), (SECOND,), (SECOND,)]


def test_stops_an_email_that_is_drafted_already(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    [enrollment] = enroll_two(alice, mailbox, now, number=1)
    pump(now)
    tenant.sent(ALICE, 1)
    pump(now + timedelta(minutes=1))  # finds the copy that the second email answers
    tenant.reply_as_candidate(ALICE)
    later = now + timedelta(minutes=2)

    def meanwhile(point: str) -> None:
        if point == "draft.after":
            look_into(mailbox.pk, later)

    pump(later, observe=meanwhile)

    assert set(tenant.submits().values()) == {1}
    assert len(tenant.submits()) == 1
    second = Message.objects.get(step__position=2)
    assert second.state not in Message.LEFT
    enrollment.refresh_from_db()
    assert (enrollment.state, enrollment.reason) == ("stopped", "replied")


def test_waits_for_a_candidate_whose_absence_was_told_while_the_email_was_under_way(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    [enrollment] = enroll_two(alice, mailbox, now, number=1)
    back_at = now + timedelta(days=7)
    Enrollment.objects.update(away_until=back_at)

    pump(now)
    pump(now + timedelta(minutes=1))

    enrollment.refresh_from_db()
    assert (enrollment.next_position, enrollment.due_at) == (2, back_at)
    assert len(tenant.sent(ALICE, 1)) == 1


def test_rests_for_the_companys_own_limit_whatever_its_worker_knew(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    enroll_two(alice, mailbox, now, number=1)
    until = now + timedelta(hours=24)

    pump(now, observe=lambda point: queue.rest(mailbox.pk, until=until) if point == "send.before" else None)
    pump(now + timedelta(minutes=2))

    assert len(tenant.sent(ALICE, 1)) == 1
    mailbox.refresh_from_db()
    assert (mailbox.held_until, mailbox.held_reason) == (until, "tenant_limit")


def test_a_broken_mailbox_stops_no_other(
    tenant: SandboxTenant, alice: User, bob: User, mailbox: MailConnection, now: datetime
) -> None:
    other = connected(bob, tenant, now)
    enroll_two(alice, mailbox, now, number=1)
    enrolled(active_sequence(bob, other), 1, now)
    pump(now)
    tenant.sent("bob@demo.example", 1)
    tenant.fault(ALICE, "delta", "garbage", times=-1)
    later = now + timedelta(minutes=1)

    assert look_into_all(clock=lambda: later) == 1

    other.refresh_from_db()
    assert other.inbox_cursor.read_until == later
    assert mailbox.inbox_cursor.failures == 1


def test_lets_one_of_many_workers_look(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    enroll_two(alice, mailbox, now)
    pump(now)
    looked: list[bool] = []

    at_once(*[lambda: looked.append(look_into(mailbox.pk, now + timedelta(minutes=1)))] * 6)

    assert sorted(looked) == [False] * 5 + [True]
    assert len(tenant.calls(ALICE, "delta")) == 2  # inbox and junk


def test_takes_in_an_email_once_that_many_workers_have_read(
    tenant: SandboxTenant, alice: User, mailbox: MailConnection, now: datetime
) -> None:
    [enrollment] = enroll_two(alice, mailbox, now, number=1)
    pump(now)
    answers = (Message.objects.get().internet_message_id,)
    answer = replace(letter(text="unsubscribe"), answers=answers, received_at=now)
    taken: list[object] = []

    at_once(*[lambda: taken.append(take_in(answer, connection=mailbox, now=now))] * 6)

    assert sorted(each is None for each in taken) == [False] + [True] * 5
    assert Suppression.objects.count() == 1
    enrollment.refresh_from_db()
    assert enrollment.reason == "suppressed"
