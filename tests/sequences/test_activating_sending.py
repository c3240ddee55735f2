"""A sequence that is started, paused and resumed through its own pages …"""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from sequences.models import Enrollment, Message, Sequence, Step
from sequences.sending import Pace, Pump
from sequences.sending.pace import Breaker
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.making import enrolled, sequence_of
from tests.sequences.outreach import ANY_TIME, connected

pytestmark = pytest.mark.django_db(transaction=True)


def send_due() -> None:
    pace = Pace(per_minute=None, settle_seconds=0.2)
    Pump(pace=pace, in_flight=8, breaker=Breaker()).run(seconds=5, linger=True)


def test_sends_each_step_once_and_the_second_in_the_same_thread(
    alice: User, tenant: SandboxTenant, now: datetime, client_of: Callable[[User], Client]
) -> None:
    sequence = sequence_of(alice, connected(alice, tenant, now), steps=2, **ANY_TIME)
    sequence.steps.filter(position=2).update(delay=1, delay_unit=Step.Unit.HOURS, body="<p>Once more</p>")
    enrolled(sequence, 3)
    client = client_of(alice)

    def press(name: str) -> None:
        client.post(reverse(f"sequences:{name}", args=[sequence.pk]))

    send_due()
    before = Message.objects.count()
    press("activate")
    send_due()
    first = tenant.sent(alice.email, 3)
    press("pause")
    sequence.steps.filter(position=2).update(delay=0)
    send_due()
    paused = Message.objects.count()
    press("activate")
    send_due()

    both = tenant.sent(alice.email, 6)
    assert (before, len(first), paused, len(both)) == (0, 3, 3, 6)
    assert set(tenant.submits().values()) == {1}
    assert len({mail.conversation_id for mail in both}) == 3
    assert set(Enrollment.objects.values_list("state", flat=True)) == {"finished"}
    assert Sequence.objects.get().state == Sequence.State.ACTIVE
