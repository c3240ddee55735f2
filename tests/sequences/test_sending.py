"""Sending what is due."""

from datetime import datetime

import pytest

from accounts.models import User
from sequences.models import Enrollment, Message
from sequences.sending import Pace, Pump
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import active_sequence, connected, enrolled

pytestmark = pytest.mark.django_db(transaction=True)
State = Message.State


def pace(**fields: object) -> Pace:
    return Pace(per_minute=None, settle_seconds=0.2, **fields)  # type: ignore[arg-type]


def test_delivers_every_due_email_once_and_finishes(alice: User, tenant: SandboxTenant, now: datetime) -> None:
    sequence = active_sequence(alice, connected(alice, tenant, now))
    enrolled(sequence, 10, now)

    Pump(pace=pace(), in_flight=8).run(seconds=20)

    sent = tenant.sent("alice@demo.example", 10)
    assert {mail.to for mail in sent} == {(f"candidate{index}@talent.example",) for index in range(10)}
    assert set(tenant.submits().values()) == {1}
    assert "Hello Casey" in sent[0].text
    states = set(Enrollment.objects.values_list("state", "due_at", "next_position"))
    assert states == {(Enrollment.State.FINISHED, None, 2)}
    assert set(Message.objects.values_list("state", flat=True)) == {State.ACCEPTED}
