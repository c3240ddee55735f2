"""Signing up: a new person starts an organization, or accepts an invitation."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts import inviting, leaving
from accounts.models import AuditEvent, Invitation, Notification, Organization, User
from tests.accounts.mails import code_in, last_mail_to, path_in
from tests.conftest import PASSWORD

SIGN_UP = reverse("account_signup")
DORA = {"organization_name": "Dora's", "name": "Dora Diaz", "email": "Dora@New.example", "password1": PASSWORD}


def _invitation(ada: User, now: datetime, email: str = "dora@new.example", role: str = "member") -> str:
    invitation, token = inviting.invite(organization=ada.organization, email=email, role=role, invited_by=ada, now=now)
    inviting.mail(invitation, token)
    return path_in(last_mail_to(email), settings.SITE_URL)


@pytest.mark.django_db
def test_starts_a_new_organization_after_the_code(client: Client) -> None:
    answer = client.post(SIGN_UP, DORA)
    assert answer["Location"] == reverse("account_email_verification_sent")

    answer = client.post(answer["Location"], {"code": code_in(last_mail_to("dora@new.example"))})

    dora = User.objects.get()
    assert (dora.email, dora.name, dora.role, dora.organization.name) == (
        "dora@new.example",
        "Dora Diaz",
        "admin",
        "Dora's",
    )
    assert client.get(reverse("accounts:profile")).status_code == 200


@pytest.mark.django_db
def test_lets_nobody_in_before_the_code(client: Client) -> None:
    client.post(SIGN_UP, DORA)

    assert client.get(reverse("accounts:profile")).status_code == 302
    assert client.post(reverse("account_email_verification_sent"), {"code": "WRONG1"}).status_code == 200
    assert client.get(reverse("accounts:profile")).status_code == 302


def test_joins_no_organization_by_its_domain(client: Client, alice: User) -> None:
    client.post(SIGN_UP, DORA | {"email": "dora@demo.example", "organization_name": "Demo"})

    dora = User.objects.get(email="dora@demo.example")
    assert dora.organization != alice.organization


def test_tells_nobody_that_an_address_has_an_account(client: Client, alice: User) -> None:
    answer = client.post(SIGN_UP, DORA | {"email": "ALICE@demo.example"})

    assert answer["Location"] == reverse("account_email_verification_sent")
    assert "already exists" in last_mail_to("alice@demo.example").body
    assert User.objects.count() == 1
    assert Organization.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"password1": "short"},
        {"password1": "password1234"},
        {"email": "no address"},
        {"name": ""},
        {"organization_name": ""},
        {"organization_name": "x" * 121},
        {"name": "Dora\x00"},
    ],
)
@pytest.mark.django_db
def test_refuses_with_a_sentence_at_the_field(client: Client, wrong: dict[str, str]) -> None:
    answer = client.post(SIGN_UP, DORA | wrong)

    assert answer.status_code == 200
    assert "invalid-feedback" in answer.content.decode()
    assert not User.objects.exists()
    assert not Organization.objects.exists()


@pytest.mark.parametrize("role", ["member", "admin"])
def test_joins_by_invitation_without_a_code(client: Client, ada: User, now: datetime, role: str) -> None:
    page = client.get(_invitation(ada, now, role=role), follow=True)
    assert "Join Demo" in page.content.decode()

    client.post(SIGN_UP, {"name": "Dora Diaz", "password1": PASSWORD})

    dora = User.objects.get(email="dora@new.example")
    assert (dora.organization, dora.role) == (ada.organization, role)
    assert client.get(reverse("accounts:profile")).status_code == 200
    assert Invitation.objects.get().accepted_at
    assert Notification.objects.get(user=ada).title == "Dora Diaz has joined"


@pytest.mark.parametrize("address", [SIGN_UP, f"{SIGN_UP}?email=eve@evil.example"])
def test_joins_with_the_invited_address_whatever_is_posted(
    client: Client, ada: User, now: datetime, address: str
) -> None:
    client.get(_invitation(ada, now))

    client.post(address, {"name": "Eve", "email": "eve@evil.example", "password1": PASSWORD})

    assert not User.objects.filter(email="eve@evil.example").exists()
    assert User.objects.get(email="dora@new.example").organization == ada.organization


def _revoke(invitation: Invitation, ada: User, now: datetime) -> None:
    inviting.revoke(invitation=invitation, actor=ada, now=now)


def _replace(invitation: Invitation, ada: User, now: datetime) -> None:
    _invitation(ada, now)


def _lapse(invitation: Invitation, ada: User, now: datetime) -> None:
    Invitation.objects.update(expires_at=now - timedelta(seconds=1))


def _use(invitation: Invitation, ada: User, now: datetime) -> None:
    Invitation.objects.update(accepted_at=now)


def _deactivate_who_invited(invitation: Invitation, ada: User, now: datetime) -> None:
    User.objects.create_user("second@demo.example", organization=ada.organization, role=User.Role.ADMIN)
    leaving.deactivate(user=ada, actor=None, now=now)


def _make_a_member_of_who_invited(invitation: Invitation, ada: User, now: datetime) -> None:
    User.objects.filter(pk=ada.pk).update(role=User.Role.MEMBER)


ENDS = [_revoke, _replace, _lapse, _use, _deactivate_who_invited, _make_a_member_of_who_invited]


@pytest.mark.parametrize("end", ENDS)
def test_refuses_an_invitation_that_has_ended(
    client: Client, ada: User, now: datetime, end: Callable[[Invitation, User, datetime], None]
) -> None:
    path = _invitation(ada, now)

    end(Invitation.objects.get(), ada, now)

    answer = client.get(path, follow=True)
    assert answer.status_code == 410
    assert "no longer works" in answer.content.decode()
    assert "or another admin of that organization, to send it again" in answer.content.decode()


@pytest.mark.parametrize("end", ENDS)
def test_refuses_an_invitation_that_ends_while_its_form_is_open(
    client: Client, ada: User, now: datetime, end: Callable[[Invitation, User, datetime], None]
) -> None:
    client.get(_invitation(ada, now), follow=True)
    end(Invitation.objects.get(), ada, now)

    client.post(SIGN_UP, {"name": "Dora Diaz", "email": "dora@new.example", "password1": PASSWORD})

    assert not User.objects.filter(organization=ada.organization, email="dora@new.example").exists()


def test_keeps_only_the_hash_of_the_token(ada: User, now: datetime) -> None:
    token = _invitation(ada, now).rstrip("/").split("/")[-1]

    invitation = Invitation.objects.get()

    assert token not in str(vars(invitation))
    assert token not in str(AuditEvent.objects.values())
    assert inviting.find(token, now) == invitation
    assert inviting.find(invitation.token_hash, now) is None


def test_moves_nobody_out_of_their_organization(
    client: Client, client_of: Callable[[User], Client], ada: User, mallory: User, now: datetime
) -> None:
    path = _invitation(ada, now, email=mallory.email)

    for browser in (client, client_of(mallory)):
        answer = browser.get(path)
        assert answer.status_code == 409

    mallory.refresh_from_db()
    assert mallory.organization != ada.organization
