"""A sequence that goes on from another mailbox in other hands, as the mailboxes show it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import leaving
from accounts.models import User
from sequences import activating, handing_over
from sequences.models import Candidate, Enrollment, Message, Sequence, Step
from sequences.receipts import verify_all
from sequences.sending import Pace, Pump
from sequences.sending.pace import Breaker
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import active_sequence, connected, enrolled
from tests.sequences.permitting import ready

pytestmark = pytest.mark.django_db(transaction=True)
ClientOf = Callable[[User], Client]
STEPS = ("<p>Hello</p>", "<p>Any thoughts?</p>", "<p>Another role</p>")


def pump(at: datetime, **fields: Any) -> None:
    pace = Pace(per_minute=None, settle_seconds=0.2)
    Pump(pace=pace, in_flight=8, breaker=Breaker(), clock=lambda: at, **fields).run(seconds=10)


@pytest.fixture
def handed_over(
    tenant: SandboxTenant, alice: User, carol: User, ada: User, now: datetime, client_of: ClientOf
) -> Sequence:
    """Alice's first emails have left; she has left too, and Carol goes on from her own mailbox."""
    sequence = active_sequence(alice, connected(alice, tenant, now), STEPS)
    sequence.steps.filter(position=3).update(kind=Step.Kind.NEW_THREAD, subject="Another role")
    sequence.steps.filter(position__gt=1).update(delay=2)
    enrolled(sequence, 2, now)
    pump(now)
    tenant.sent(alice.email, 2)
    pump(now + timedelta(minutes=1))  # finds them in Sent Items
    leaving.deactivate(user=alice, actor=ada, now=now)
    hers = connected(carol, tenant, now)
    client_of(ada).post(reverse("sequences:hand_over", args=[sequence.pk]), {"to": carol.pk, "connection": hers.pk})
    sequence.refresh_from_db()
    assert (sequence.owner, sequence.connection, sequence.state) == (carol, hers, Sequence.State.PAUSED)
    return sequence


def test_holds_a_reply_whose_thread_is_in_the_old_mailbox_and_says_so(
    handed_over: Sequence, tenant: SandboxTenant, alice: User, carol: User, now: datetime, client_of: ClientOf
) -> None:
    later = now + timedelta(hours=3)

    activating.start(sequence=handed_over, actor=carol, now=later)
    pump(later)

    held = set(Enrollment.objects.values_list("state", "reason", "next_position"))
    assert held == {(Enrollment.State.HELD, "thread_lost", 2)}
    assert tenant.messages(carol.email, "") == []
    assert len(tenant.messages(alice.email, "")) == 2
    candidate = Candidate.objects.first()
    assert candidate
    held_ones = reverse("sequences:detail", args=[handed_over.pk]) + "?state=held"
    for page in (held_ones, reverse("sequences:candidate", args=[candidate.pk])):
        assert "not in the Sent Items of the mailbox" in client_of(carol).get(page).content.decode()


def test_goes_on_in_a_new_thread_once_the_new_owner_says_so(
    handed_over: Sequence, tenant: SandboxTenant, alice: User, carol: User, now: datetime, client_of: ClientOf
) -> None:
    later = now + timedelta(hours=3)
    activating.start(sequence=handed_over, actor=carol, now=later)
    pump(later)
    reply = handed_over.steps.get(position=2)

    Step.objects.filter(pk=reply.pk).update(kind=Step.Kind.NEW_THREAD, subject="Once more")
    activating.continue_held(sequence=handed_over, enrollments=Enrollment.objects.all(), actor=carol, now=later)
    pump(later)

    new = tenant.sent(carol.email, 2)
    assert {mail.subject for mail in new} == {"Once more"}
    assert {mail.in_reply_to for mail in new} == {""}
    assert len(tenant.messages(alice.email)) == 2


def test_sends_the_next_new_thread_from_the_new_mailbox(
    handed_over: Sequence, tenant: SandboxTenant, alice: User, carol: User, now: datetime
) -> None:
    later = now + timedelta(hours=3)
    Enrollment.objects.update(next_position=3)

    activating.start(sequence=handed_over, actor=carol, now=later)
    pump(later)

    assert {mail.subject for mail in tenant.sent(carol.email, 2)} == {"Another role"}
    assert len(tenant.messages(alice.email)) == 2
    assert set(Enrollment.objects.values_list("state", flat=True)) == {Enrollment.State.FINISHED}


@pytest.mark.parametrize("state", [Message.State.DRAFTING, Message.State.DRAFTED, Message.State.PLANNED])
def test_sends_what_was_only_drafted_in_the_old_mailbox_from_the_new_one(
    state: Message.State, tenant: SandboxTenant, alice: User, carol: User, ada: User, now: datetime
) -> None:
    """Its worker died before its permit; then its mailbox went."""
    later = now + timedelta(minutes=1)
    sequence = active_sequence(alice, connected(alice, tenant, now))
    message = ready(sequence, now)
    is_waiting = state == Message.State.PLANNED
    Message.objects.update(state=state, draft_id="" if is_waiting else "a-draft-of-alice", body_html="<p>By Alice</p>")
    Enrollment.objects.update(due_at=now if is_waiting else None)
    leaving.deactivate(user=alice, actor=ada, now=now)
    hers = connected(carol, tenant, now)
    handing_over.hand_over(sequence=sequence, to=carol, connection=hers, actor=ada, now=now)

    activating.start(sequence=sequence, actor=carol, now=later)
    pump(later)

    [mail] = tenant.sent(carol.email, 1, within=5)
    assert "By Alice" not in mail.text, "planned anew: with the new sender's signature"
    message.refresh_from_db()
    assert (message.state, message.connection) == (Message.State.ACCEPTED, hers)
    assert list(verify_all()) == []


def test_asks_about_an_email_that_was_being_sent_when_its_mailbox_was_removed(
    tenant: SandboxTenant, alice: User, carol: User, ada: User, now: datetime
) -> None:
    """Its worker died in the middle of the request; whether it left is known to a mailbox that we may not read."""
    sequence = active_sequence(alice, connected(alice, tenant, now))
    message = ready(sequence, now)
    signed = {"permitted_at": now, "permitted_to": alice, "receipt": "signed", "check_at": now}
    Message.objects.update(state=Message.State.SENDING, **signed)
    Enrollment.objects.update(due_at=None)
    leaving.deactivate(user=alice, actor=ada, now=now)
    hers = connected(carol, tenant, now)
    handing_over.hand_over(sequence=sequence, to=carol, connection=hers, actor=ada, now=now)

    activating.start(sequence=sequence, actor=carol, now=now + timedelta(minutes=1))

    message.refresh_from_db()
    assert (message.state, message.reason) == (Message.State.UNKNOWN, "outcome_unknown")
    enrollment = Enrollment.objects.get(pk=message.enrollment_id)
    assert (enrollment.state, enrollment.reason) == (Enrollment.State.HELD, "outcome_unknown")
    assert tenant.messages(carol.email, "") == []
