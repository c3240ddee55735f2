"""The Manage page of an own mailbox."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, User
from mailconnect.models import MailConnection
from tests.sandbox_tenant import SandboxTenant
from tests.sequences import outreach

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
ALICE = "alice@demo.example"
MANAGE = reverse("mailconnect:manage")
FROM_SENT_MAIL = reverse("mailconnect:signature_from_sent_mail")
CHOICES = {"daily_limit": "120", "spacing_seconds": "90", "signature_html": ""}


@pytest.fixture
def mailbox(tenant: SandboxTenant, alice: User, now: datetime) -> MailConnection:
    connection = outreach.connected(alice, tenant, now)
    MailConnection.objects.update(daily_limit=200, spacing_seconds=60)
    return connection


def test_keeps_what_is_chosen_and_writes_down_what_was_changed(
    mailbox: MailConnection, alice: User, client_of: ClientOf
) -> None:
    sent = CHOICES | {"signature_on": "on", "signature_html": "<p>Alice<script>x</script></p>"}

    shown = client_of(alice).post(MANAGE, sent, follow=True).content.decode()

    mailbox.refresh_from_db()
    assert (mailbox.daily_limit, mailbox.spacing_seconds, mailbox.signature_on) == (120, 90, True)
    assert mailbox.signature_html == "<p>Alice</p>"
    assert "Saved." in shown
    event = AuditEvent.objects.get(action="mailbox.settings_changed")
    assert event.details["settings"] == ["daily_limit", "signature_html", "signature_on", "spacing_seconds"]
    assert "Alice" not in str(event.details)


@pytest.mark.parametrize(
    "wrong",
    [
        {"daily_limit": "0"},
        {"daily_limit": "2001"},
        {"daily_limit": "many"},
        {"spacing_seconds": "1"},
        {"spacing_seconds": "3601"},
        {"signature_html": "x" * 10_001},
    ],
    ids=str,
)
def test_refuses_what_is_beyond_the_limits(
    mailbox: MailConnection, alice: User, client_of: ClientOf, wrong: dict[str, str]
) -> None:
    shown = client_of(alice).post(MANAGE, CHOICES | wrong).content.decode()

    assert "is-invalid" in shown
    mailbox.refresh_from_db()
    assert (mailbox.daily_limit, mailbox.spacing_seconds) == (200, 60)
    assert not AuditEvent.objects.exists()


def test_is_the_owners_alone(mailbox: MailConnection, bob: User, ada: User, mallory: User, client_of: ClientOf) -> None:
    for person in (bob, ada, mallory):
        for address in (MANAGE, FROM_SENT_MAIL):
            assert client_of(person).post(address, CHOICES).status_code == 404

    mailbox.refresh_from_db()
    assert mailbox.daily_limit == 200


def test_takes_the_signature_from_sent_mail_and_keeps_it_when_it_is_saved(
    mailbox: MailConnection, tenant: SandboxTenant, alice: User, client_of: ClientOf
) -> None:
    tenant.put(ALICE, folder="sentitems", body="<p>Hi</p><div id='Signature'><p>Alice Archer, Demo</p></div>")
    tenant.put(ALICE, folder="sentitems", body="<p>No signature here</p>")

    shown = client_of(alice).post(FROM_SENT_MAIL).content.decode()

    assert "Alice Archer, Demo" in shown
    assert "Look it over, then save." in shown
    mailbox.refresh_from_db()
    assert mailbox.signature_html == ""


def test_says_when_no_sent_mail_has_a_signature(mailbox: MailConnection, alice: User, client_of: ClientOf) -> None:
    shown = client_of(alice).post(FROM_SENT_MAIL, follow=True).content.decode()

    assert "No signature was found" in shown


@pytest.mark.parametrize("kind", ["html", "garbage", "strange", "empty", "status", "lost_before", "throttled"])
def test_says_when_sent_mail_cannot_be_read(
    mailbox: MailConnection, tenant: SandboxTenant, alice: User, client_of: ClientOf, kind: str
) -> None:
    tenant.fault(ALICE, "list", kind)

    shown = client_of(alice).post(FROM_SENT_MAIL, follow=True).content.decode()

    assert "Your sent mail cannot be read at the moment" in shown
