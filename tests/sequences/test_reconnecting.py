"""A sequence whose mailbox went away, and came back."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from mailconnect.models import MailConnection
from sequences.models import Message, Sequence
from sequences.sending import Pace, Pump
from sequences.sending.pace import Breaker
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import TEXT, active_sequence, connected, enrolled
from tests.signing_in import Browser, begin, path_of

pytestmark = pytest.mark.django_db(transaction=True)
ClientOf = Callable[[User], Client]
ALICE = "alice@demo.example"


def run(now: datetime) -> None:
    """What a worker does at `now`, and once more when Sent Items has been looked at."""
    for later in (timedelta(), timedelta(minutes=2)):
        moment = now + later
        Pump(pace=Pace(per_minute=None), breaker=Breaker(), clock=lambda: moment).run(seconds=5)  # noqa: B023


def sign_in(client: Client) -> None:
    """Connect the mailbox through Microsoft's pages."""
    visitor = Browser().open(begin(client)).press(ALICE)
    visitor.close()
    client.get(path_of(visitor.came_back))


@pytest.mark.parametrize("way", ["removed", "revoked"])
def test_goes_on_where_it_stopped_and_repeats_nothing(
    tenant: SandboxTenant, alice: User, now: datetime, client_of: ClientOf, way: str
) -> None:
    client = client_of(alice)
    mailbox = connected(alice, tenant, now)
    sequence = active_sequence(alice, mailbox, [TEXT, "<p>Did you see this, {{ first_name }}?</p>"])
    enrolled(sequence, 2, now)
    Pump(pace=Pace(per_minute=None), breaker=Breaker()).run(seconds=5)
    assert len(tenant.sent(ALICE, 2)) == 2

    if way == "removed":
        client.post(reverse("mailconnect:remove"))
    else:
        tenant.revoke_tokens(ALICE)
        run(now + timedelta(minutes=5))
    sequence.refresh_from_db()
    assert sequence.state == Sequence.State.PAUSED
    run(now + timedelta(minutes=10))
    assert len(tenant.messages(ALICE)) == 2  # nothing leaves meanwhile

    sign_in(client)
    client.post(reverse("sequences:activate", args=[sequence.pk]))
    run(now + timedelta(minutes=20))
    tenant.sent(ALICE, 4)
    run(now + timedelta(minutes=25))

    assert MailConnection.objects.get().pk == mailbox.pk
    sequence.refresh_from_db()
    assert sequence.state == Sequence.State.ACTIVE
    assert set(Message.objects.values_list("state", flat=True)) == {Message.State.SENT}
    assert set(tenant.submits().values()) == {1}
    mails = tenant.messages(ALICE)
    for first in mails[:2]:
        [second] = [mail for mail in mails[2:] if mail.to == first.to]
        assert (second.in_reply_to, second.conversation_id) == (first.internet_message_id, first.conversation_id)
