"""The queue of mailboxes."""

import threading
from collections import Counter
from datetime import datetime, time, timedelta
from uuid import uuid4

import pytest
from django.db import connections, transaction

from accounts.models import Organization, User
from mailconnect import queue
from mailconnect.microsoft.errors import PermitLapsed
from mailconnect.models import MailConnection
from mailconnect.queue import LEASE_SECONDS, Lease, Release
from tests.mailconnect.owning import connected

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def mailbox(alice: User, now: datetime) -> MailConnection:
    connection = connected(alice, now)
    queue.ring([connection.pk], at=now)
    return connection


def take(now: datetime, limit: int = 10) -> list[Lease]:
    return list(queue.lease(uuid4(), now=now, limit=limit))


def give_back(lease: Lease, due_at: datetime | None) -> None:
    with transaction.atomic():
        queue.fence([lease])
        queue.release([Release(lease=lease, due_at=due_at, held_until=None, held_reason="", failures=0)])


def test_leases_what_is_due_to_one_worker(mailbox: MailConnection, now: datetime) -> None:
    (lease,) = take(now)

    assert lease.connection_id == mailbox.pk
    assert take(now + HOUR) == []


def test_a_leased_mailbox_has_its_values_as_any_other(mailbox: MailConnection, now: datetime) -> None:
    values = {
        "owner_id": mailbox.owner_id,
        "send_while_away": True,
        "working_from": time(8, 30),
        "away_until": now + HOUR,
        "held_until": None,
        "sent_on": now.date(),
    }
    MailConnection.objects.update(**values)

    (row,) = queue.lease(uuid4(), now=now, limit=1, columns=tuple(values)).values()

    assert {name: row.__dict__[name] for name in values} == values
    assert row == mailbox
    assert row.address == mailbox.address  # read now
    row.refresh_from_db()
    assert row.owner == mailbox.owner


@pytest.mark.parametrize("state", [MailConnection.State.RECONNECT, MailConnection.State.REMOVED])
def test_leaves_alone_what_is_not_connected(mailbox: MailConnection, now: datetime, state: str) -> None:
    MailConnection.objects.update(state=state)

    assert take(now) == []


def test_leaves_alone_what_is_not_due(mailbox: MailConnection, now: datetime) -> None:
    assert take(now - timedelta(seconds=1)) == []


def test_takes_over_from_a_worker_that_died(mailbox: MailConnection, now: datetime) -> None:
    (first,) = take(now)
    MailConnection.objects.update(lease_until=now - HOUR)

    (second,) = take(now + 2 * HOUR)

    assert second.epoch == first.epoch + 1
    with transaction.atomic():
        assert queue.fence([first]) == set()
        assert queue.fence([second]) == {mailbox.pk}


def test_takes_over_a_lease_from_before_the_clock_was_set_back(mailbox: MailConnection, now: datetime) -> None:
    take(now)
    MailConnection.objects.update(lease_until=now + HOUR)

    assert len(take(now + 2 * HOUR)) == 1


def test_changes_nothing_for_a_worker_whose_lease_is_over(mailbox: MailConnection, now: datetime) -> None:
    (first,) = take(now)
    MailConnection.objects.update(lease_until=now - HOUR)
    (second,) = take(now + 2 * HOUR)

    give_back(first, None)

    mailbox.refresh_from_db()
    assert mailbox.lease_epoch == second.epoch
    assert mailbox.lease_owner == second.owner


def test_starts_no_request_near_the_end_of_a_lease() -> None:
    from time import monotonic

    lease = Lease(1, uuid4(), 1, monotonic() - LEASE_SECONDS + 5)

    with pytest.raises(PermitLapsed):
        lease.check()


def test_releases_to_the_next_moment(mailbox: MailConnection, now: datetime) -> None:
    (lease,) = take(now)

    give_back(lease, now + HOUR)

    mailbox.refresh_from_db()
    assert (mailbox.due_at, mailbox.lease_owner, mailbox.lease_until) == (now + HOUR, None, None)
    assert queue.next_moment() == now + HOUR


def test_loses_no_bell_that_rang_meanwhile(mailbox: MailConnection, now: datetime) -> None:
    (lease,) = take(now)
    queue.ring([mailbox.pk], at=now + timedelta(seconds=1))

    give_back(lease, now + HOUR)

    mailbox.refresh_from_db()
    assert mailbox.due_at == now + timedelta(seconds=1)


def test_keeps_the_sooner_of_two_bells(mailbox: MailConnection, now: datetime) -> None:
    queue.ring([mailbox.pk], at=now + HOUR)

    mailbox.refresh_from_db()
    assert mailbox.due_at == now


def test_gives_no_mailbox_to_two_of_eight_workers(organization: Organization, now: datetime) -> None:
    owners = User.objects.bulk_create(
        User(email=f"owner{number}@demo.example", organization=organization, password="!") for number in range(60)
    )
    for owner in owners:
        connected(owner, now)
    MailConnection.objects.update(due_at=now)
    taken: Counter[int] = Counter()
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        try:
            while found := take(now, limit=3):
                taken.update(lease.connection_id for lease in found)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 60
    assert set(taken.values()) == {1}
