"""A person who leaves while emails are on their way."""

from collections.abc import Callable
from datetime import datetime
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.models import User
from mailconnect import stopping
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import permit_and_stamp, ready, running

pytestmark = pytest.mark.django_db


def by_page(ada: User, bob: User, client_of: Callable[[User], Client]) -> str:
    return client_of(ada).post(reverse("accounts:deactivate", args=[bob.pk]), follow=True).content.decode()


def by_admin_site(ada: User, bob: User, client_of: Callable[[User], Client]) -> str:
    User.objects.filter(pk=ada.pk).update(is_staff=True, is_superuser=True)
    chosen = {"action": "deactivate", "_selected_action": [bob.pk]}
    return client_of(ada).post(reverse("admin:accounts_user_changelist"), chosen, follow=True).content.decode()


def by_command(ada: User, bob: User, client_of: Callable[[User], Client]) -> str:
    told = StringIO()
    call_command("deactivate_user", bob.email, stdout=told)
    return told.getvalue()


@pytest.mark.parametrize("deactivated", [by_page, by_admin_site, by_command])
@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (0, ""),
        (1, "1 email was already on the way and may arrive."),
        (2, "2 emails were already on the way and may arrive."),
    ],
)
def test_is_told_how_many_emails_were_already_on_their_way(
    deactivated: Callable[[User, User, Callable[[User], Client]], str],
    number: int,
    sentence: str,
    alice: User,
    bob: User,
    ada: User,
    now: datetime,
    client_of: Callable[[User], Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "PERMIT_LIFE_SECONDS", 0.1)  # nobody settles them here
    mailbox = connected(alice, now)
    granted(mailbox, bob)
    sequence = running(bob, mailbox)
    permit_and_stamp([ready(sequence, now, name=name) for name in ("cora", "dan")[:number]], now)

    told = deactivated(ada, bob, client_of)

    bob.refresh_from_db()
    assert not bob.is_active
    assert sentence in told if number else "already on the way" not in told
