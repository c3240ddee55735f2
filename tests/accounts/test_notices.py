"""Notifications: the bell, the page, and the mails, each once."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.core import mail
from django.db import connections
from django.test import Client
from django.urls import reverse

from accounts import leaving, mailing, tasks
from accounts.models import Notification, User
from accounts.notifying import notify

ClientOf = Callable[[User], Client]


def _notice(user: User, now: datetime, title: str = "A sequence is paused") -> Notification:
    notification = notify(
        user=user, kind="sequence_paused", title=title, text="Choose another mailbox.", url="/sequences/", now=now
    )
    assert notification
    return notification


def test_shows_the_bell_with_its_number(client_of: ClientOf, alice: User, now: datetime) -> None:
    _notice(alice, now)
    _notice(alice, now)

    page = client_of(alice).get(reverse("accounts:profile")).content.decode()

    assert '<span class="count-dot">2' in page


def test_opens_and_marks_as_read(client_of: ClientOf, alice: User, now: datetime) -> None:
    notification = _notice(alice, now)

    answer = client_of(alice).post(reverse("accounts:read_notification", args=[notification.pk]), {"open": "yes"})

    notification.refresh_from_db()
    assert answer["Location"] == "/sequences/"
    assert notification.read_at


def test_leads_to_no_other_site(client_of: ClientOf, alice: User, now: datetime) -> None:
    notification = _notice(alice, now)
    Notification.objects.update(url="https://evil.example/")

    answer = client_of(alice).post(reverse("accounts:read_notification", args=[notification.pk]), {"open": "yes"})

    assert answer["Location"] == reverse("accounts:notifications")


def test_marks_all_of_the_own_as_read(client_of: ClientOf, alice: User, bob: User, now: datetime) -> None:
    _notice(alice, now)
    theirs = _notice(bob, now)

    client_of(alice).post(reverse("accounts:read_all_notifications"))

    assert list(Notification.objects.filter(read_at=None)) == [theirs]


def test_touches_no_notification_of_others(client_of: ClientOf, alice: User, bob: User, now: datetime) -> None:
    theirs = _notice(bob, now)
    client = client_of(alice)

    assert client.post(reverse("accounts:read_notification", args=[theirs.pk])).status_code == 404
    assert theirs.title not in client.get(reverse("accounts:notifications")).content.decode()


def test_is_mailed_once_with_a_link_to_the_site(alice: User, now: datetime) -> None:
    _notice(alice, now)

    assert tasks.mail_notices(now) == 1
    assert tasks.mail_notices(now + timedelta(days=1)) == 0

    assert [each.to for each in mail.outbox] == [["alice@demo.example"]]
    assert mail.outbox[0].subject == "A sequence is paused"
    assert "http://localhost:8000/sequences/\n" in mail.outbox[0].body
    assert Notification.objects.get().mailed_at == now


def _read(user: User, now: datetime) -> None:
    Notification.objects.update(read_at=now)


def _leave(user: User, now: datetime) -> None:
    leaving.deactivate(user=user, actor=None, now=now)


def _switch_off(user: User, now: datetime) -> None:
    User.objects.filter(pk=user.pk).update(email_notices=False)


@pytest.mark.parametrize("meanwhile", [_read, _leave, _switch_off])
def test_is_not_mailed_to_who_does_not_need_it_any_more(
    alice: User, now: datetime, meanwhile: Callable[[User, datetime], None]
) -> None:
    _notice(alice, now)

    meanwhile(alice, now)

    assert tasks.mail_notices(now) == 0
    assert not mail.outbox
    assert Notification.objects.get().mail_due_at is None


def test_goes_on_after_a_notice_that_cannot_be_mailed(alice: User, bob: User, now: datetime) -> None:
    poisoned = _notice(alice, now - timedelta(hours=1))
    User.objects.filter(pk=alice.pk).update(email="no\naddress")
    _notice(bob, now)

    assert tasks.mail_notices(now) == 1

    assert [each.to for each in mail.outbox] == [["bob@demo.example"]]
    poisoned.refresh_from_db()
    assert poisoned.mail_due_at
    assert poisoned.mail_due_at > now


def test_is_tried_again_later_and_given_up_at_last(alice: User, now: datetime) -> None:
    notification = _notice(alice, now)
    User.objects.filter(pk=alice.pk).update(email="no\naddress")

    for _ in range(mailing.MOST_ATTEMPTS):
        assert tasks.mail_notices(now) == 0
        now += timedelta(days=1)

    notification.refresh_from_db()
    assert (notification.mail_due_at, notification.mail_attempts) == (None, mailing.MOST_ATTEMPTS)


def test_arrives_after_a_failure(alice: User, now: datetime) -> None:
    _notice(alice, now)
    User.objects.filter(pk=alice.pk).update(email="no\naddress")
    tasks.mail_notices(now)
    User.objects.filter(pk=alice.pk).update(email="alice@demo.example")

    assert tasks.mail_notices(now + timedelta(minutes=1)) == 0
    assert tasks.mail_notices(now + timedelta(minutes=10)) == 1


@pytest.mark.django_db(transaction=True)
def test_is_mailed_once_by_two_senders_at_once(alice: User, now: datetime) -> None:
    titles = {f"Notice {number}" for number in range(20)}
    for title in titles:
        _notice(alice, now, title)
    together = threading.Barrier(2)

    def send() -> None:
        together.wait()
        tasks.mail_notices(now)
        connections.close_all()

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert sorted(each.subject for each in mail.outbox) == sorted(titles)


@pytest.mark.parametrize("count", [2, 40])
def test_asks_the_same_number_of_queries_for_many_notifications(
    client_of: ClientOf, alice: User, now: datetime, count: int, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    for _ in range(count):
        _notice(alice, now)
    client = client_of(alice)

    with django_assert_max_num_queries(7):  # type: ignore[attr-defined]
        client.get(reverse("accounts:notifications"))
