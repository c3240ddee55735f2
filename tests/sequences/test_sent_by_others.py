"""What a mailbox's owner sees of what others send: at any time on a page, and every morning as a digest."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Notification, User
from mailconnect import granting
from mailconnect.models import MailConnection
from sequences import digest
from sequences.models import Sequence
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import running, sent

pytestmark = pytest.mark.django_db
AFTERNOON = datetime(2026, 11, 23, 15, tzinfo=UTC)
NEXT_MORNING = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)  # eight o'clock in Berlin


@pytest.fixture
def mailbox(alice: User) -> MailConnection:
    User.objects.filter(pk=alice.pk).update(daily_digest=True)
    return connected(alice, AFTERNOON)


@pytest.fixture
def by_bob(mailbox: MailConnection, bob: User) -> Sequence:
    granted(mailbox, bob)
    return running(bob, mailbox)


def test_is_a_digest_once_in_the_owners_morning(mailbox: MailConnection, by_bob: Sequence, alice: User) -> None:
    for name in ("cora", "dan"):
        sent(by_bob, AFTERNOON, name=name)
    sent(running(alice, mailbox, "Alice's own"), AFTERNOON, name="eve")

    assert digest.send_all(NEXT_MORNING - timedelta(seconds=1)) == 0
    assert digest.send_all(NEXT_MORNING) == 1
    Notification.objects.update(read_at=NEXT_MORNING)
    assert digest.send_all(NEXT_MORNING + timedelta(hours=1)) == 0

    told = Notification.objects.get(user=alice, kind="digest")
    assert told.text == "Bob Baker, “Platform engineers”: 2 emails"
    assert told.mail_due_at == NEXT_MORNING


def test_is_no_digest_where_nothing_was_sent_or_none_is_wanted(mailbox: MailConnection, by_bob: Sequence) -> None:
    assert digest.send_all(NEXT_MORNING) == 0

    sent(by_bob, AFTERNOON)
    User.objects.update(daily_digest=False)
    assert digest.send_all(NEXT_MORNING) == 0


def test_is_on_a_page_with_revoke_beside_it(
    mailbox: MailConnection,
    by_bob: Sequence,
    alice: User,
    bob: User,
    now: datetime,
    client_of: Callable[[User], Client],
) -> None:
    sent(by_bob, now)
    sent(running(alice, mailbox, "Alice's own"), now, name="eve")
    client, address = client_of(alice), reverse("sequences:sent_by_others")

    page = client.get(address).content.decode()
    live = client.get(address, headers={"HX-Request": "true"}).content.decode()
    grant = mailbox.grants.get()
    granting.revoke(grant=grant, actor=alice, now=now)
    after = client.get(address).content.decode()

    for shown in (page, live):
        assert "cora@candidates.example" in shown
        assert "Bob Baker" in shown
        assert "eve@candidates.example" not in shown
        assert reverse("mailconnect:revoke", args=[grant.pk]) in shown
    assert "<html" not in live
    assert "Permission ended" in after
    assert "cora" not in client_of(bob).get(address).content.decode()


def test_is_a_page_that_costs_the_same_for_many(
    mailbox: MailConnection, by_bob: Sequence, alice: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    client, address = client_of(alice), reverse("sequences:sent_by_others")
    counts = []
    for number in range(9):
        sent(by_bob, now, name=f"n{number}")
        with CaptureQueriesContext(database) as seen:
            client.get(address)
        counts.append(len(seen))

    assert counts[-1] == counts[1]
