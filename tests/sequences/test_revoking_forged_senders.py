"""A sender that is no choice: the pages offer only what may be used, and a forged form gets no further."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from mailconnect import granting
from mailconnect.granting import Terms
from mailconnect.models import DefaultMailbox, DelegationGrant, MailConnection
from sequences.models import Sequence, Step
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import running

pytestmark = pytest.mark.django_db
REFUSED = "Select a valid choice"
HOW = ["never given", "revoked", "expired", "for another sequence", "owner deactivated", "of another organization"]


@pytest.fixture
def forbidden(request: pytest.FixtureRequest, alice: User, bob: User, mallory: User, now: datetime) -> MailConnection:
    """A mailbox that Bob may not choose, for the reason of the parameter."""
    how = request.param
    mailbox = connected(mallory if how == "of another organization" else alice, now)
    if how == "revoked":
        granting.revoke(grant=granted(mailbox, bob), actor=alice, now=now)
    if how == "expired":
        granted(mailbox, bob)
        DelegationGrant.objects.update(expires_at=now - timedelta(seconds=1))
    if how == "for another sequence":
        other = running(bob, mailbox, "Another", state=Sequence.State.DRAFT)
        terms = Terms(sequence_id=other.pk)
        granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=terms, now=now)
    if how == "owner deactivated":
        granted(mailbox, bob)
        User.objects.filter(pk=alice.pk).update(is_active=False)
    return mailbox


@pytest.fixture
def sequence(bob: User) -> Sequence:
    sequence = Sequence.objects.create(organization=bob.organization, owner=bob, name="Bob's")
    Step.objects.create(sequence=sequence, position=1, subject="Hello", body="<p>Hello</p>")
    return sequence


@pytest.mark.parametrize("forbidden", HOW, indirect=True)
def test_is_neither_offered_nor_taken_on_any_page(
    forbidden: MailConnection, sequence: Sequence, bob: User, client_of: Callable[[User], Client]
) -> None:
    client, step = client_of(bob), sequence.steps.get()
    settings = reverse("sequences:settings", args=[sequence.pk])
    text = {"kind": "new_thread", "delay": 0, "delay_unit": "days", "subject": "Hello", "body": "<p>Hello</p>"}
    forged: dict[str, dict[str, Any]] = {
        settings: {"name": "Bob's"},
        reverse("sequences:new"): {"name": "Forged"},
        reverse("sequences:edit_step", args=[sequence.pk, step.pk]): text,
        reverse("sequences:new_step", args=[sequence.pk]): text,
    }

    offered = client.get(settings).content.decode()
    answers = [client.post(path, sent | {"connection": forbidden.pk}).content.decode() for path, sent in forged.items()]
    client.post(reverse("mailconnect:default_mailbox"), {"connection": forbidden.pk})

    assert forbidden.address not in offered
    assert [REFUSED in answer for answer in answers] == [True] * len(forged)
    assert not Sequence.objects.filter(owner=bob, connection=forbidden).exclude(name="Another").exists()
    assert not Step.objects.filter(connection=forbidden).exists()
    assert not DefaultMailbox.objects.exists()


def test_is_taken_where_it_is_granted_for_this_very_sequence(
    sequence: Sequence, alice: User, bob: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    mailbox = connected(alice, now)
    terms = Terms(sequence_id=sequence.pk)
    granting.grant(connection=mailbox, grantee=bob, actor=alice, terms=terms, now=now)

    client_of(bob).post(reverse("sequences:settings", args=[sequence.pk]), {"name": "Bob's", "connection": mailbox.pk})

    sequence.refresh_from_db()
    assert sequence.connection == mailbox


def test_is_the_owners_choice_also_where_an_admin_edits_the_sequence(
    sequence: Sequence, ada: User, bob: User, now: datetime, client_of: Callable[[User], Client]
) -> None:
    """Ada's own mailbox is hers to use, and not Bob's."""
    hers = connected(ada, now)

    answer = client_of(ada).post(
        reverse("sequences:settings", args=[sequence.pk]), {"name": "Bob's", "connection": hers.pk}
    )

    assert REFUSED in answer.content.decode()
    sequence.refresh_from_db()
    assert sequence.connection is None
