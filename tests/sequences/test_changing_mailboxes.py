"""A running sequence that gets another mailbox while its emails are on their way from the old one."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from accounts.models import User
from mailconnect.models import DelegationGrant, MailConnection
from sequences import editing
from sequences.models import Enrollment, Sequence, Step
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import active_sequence, connected, enrolled
from tests.sequences.test_sending import ALICE, pump

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sequence(alice: User, tenant: SandboxTenant, now: datetime) -> Sequence:
    sequence = active_sequence(alice, connected(alice, tenant, now), ("<p>Hello</p>", "<p>Another role</p>"))
    sequence.steps.filter(position=2).update(kind=Step.Kind.NEW_THREAD, subject="Another role", delay=2)
    enrolled(sequence, 1, now)
    return sequence


@pytest.fixture
def other(alice: User, carol: User, tenant: SandboxTenant, now: datetime) -> MailConnection:
    """Carol's, from which Alice may send."""
    other = connected(carol, tenant, now)
    DelegationGrant.objects.create(connection=other, grantee=alice, granted_by=carol)
    return other


def changing(sequence: Sequence, to: MailConnection, now: datetime, *, at: str) -> Callable[[str], None]:
    """An observer that changes the mailbox when an email comes to this point of its way."""

    def observe(point: str) -> None:
        row = Sequence.objects.get(pk=sequence.pk) if point == at else None
        if row and row.connection_id != to.pk:
            row.connection = to
            editing.save_settings(sequence=row, changed=["connection"], actor=row.owner, now=now)

    return observe


def test_sends_the_next_step_from_the_new_one(
    tenant: SandboxTenant, sequence: Sequence, other: MailConnection, now: datetime
) -> None:
    pump(observe=changing(sequence, other, now, at="permit.after_commit")).run(seconds=5)
    assert Enrollment.objects.get().connection == other

    pump(clock=lambda: now + timedelta(hours=3)).run(seconds=5)

    assert len(tenant.sent(ALICE, 1)) == 1
    assert [mail.subject for mail in tenant.sent(other.address, 1)] == ["Another role"]
    assert Enrollment.objects.get().state == Enrollment.State.FINISHED


def test_sends_from_the_new_one_what_could_not_begin_in_the_old_one(
    tenant: SandboxTenant, sequence: Sequence, other: MailConnection, now: datetime
) -> None:
    tenant.fault(ALICE, "create_draft", "throttled")
    MailConnection.objects.update(signature_on=True)
    other.signature_html = "<p>Carol</p>"
    other.save(update_fields=["signature_html"])

    pump(observe=changing(sequence, other, now, at="begin.after_commit")).run(seconds=5)
    pump(clock=lambda: now + timedelta(minutes=1)).run(seconds=5)

    [mail] = tenant.sent(other.address, 1)
    assert "Carol" in mail.text
    assert tenant.messages(ALICE, "") == []


def test_rings_the_other_mailbox_at_the_soonest_of_several_moments(
    tenant: SandboxTenant, alice: User, sequence: Sequence, other: MailConnection, now: datetime
) -> None:
    slow = active_sequence(alice, MailConnection.objects.get(owner=alice), ("<p>Hello</p>", "<p>Another role</p>"))
    slow.steps.filter(position=2).update(kind=Step.Kind.NEW_THREAD, subject="Another role", delay=48)
    enrolled(slow, 3, now)
    Step.objects.filter(position=2).update(connection=other)

    pump().run(seconds=5)

    other.refresh_from_db()
    assert other.due_at
    assert other.due_at < now + timedelta(hours=3)
