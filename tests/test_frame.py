"""The frame of every page: where one can go, times in the organization's zone, and pages for errors."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.defaults import bad_request, server_error

from accounts.models import Organization, User
from accounts.notifying import notify
from tests.mailconnect.owning import connected

ClientOf = Callable[[User], Client]


@pytest.mark.parametrize(("person", "is_shown"), [("ada", True), ("alice", False)])
def test_shows_administration_to_admins(
    client_of: ClientOf, person: str, is_shown: bool, request: pytest.FixtureRequest
) -> None:
    page = client_of(request.getfixturevalue(person)).get(reverse("accounts:profile")).content.decode()

    assert (reverse("accounts:audit") in page) == is_shown
    assert reverse("mailconnect:settings") in page


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("account_change_password", "Sign-in and security"),
        ("account_email", "Sign-in and security"),
        ("mfa_list_webauthn", "Sign-in and security"),
        ("mailconnect:permissions", "Permissions"),
        ("sequences:sent_by_others", "Sent by others"),
        ("mailconnect:settings", "Mailbox"),
        ("accounts:profile", "Profile"),
    ],
)
def test_marks_where_one_is(client_of: ClientOf, alice: User, name: str, label: str) -> None:
    page = client_of(alice).get(reverse(name)).content.decode()
    side = page[page.index('aria-label="Settings"') : page.index("</nav>", page.index('aria-label="Settings"'))]

    assert side.count('aria-current="page"') == 1
    assert f'href="{reverse("mailconnect:settings")}" aria-current="page">Settings</a>' in page
    assert f'aria-current="page">{label}</a>' in side


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("Europe/Berlin", "1 Jul 2026, 11:00 CEST"), ("Asia/Tokyo", "1 Jul 2026, 18:00 JST"), ("Mars", "09:00 UTC")],
)
def test_shows_times_in_the_organizations_zone(client_of: ClientOf, alice: User, zone: str, shown: str) -> None:
    notify(user=alice, kind="x", title="Something", now=datetime.fromisoformat("2026-07-01T09:00:00Z"))
    Organization.objects.update(time_zone=zone)

    page = client_of(alice).get(reverse("accounts:notifications")).content.decode()

    assert shown in page


def test_begins_with_connecting_a_mailbox(client_of: ClientOf, alice: User, now: datetime) -> None:
    client = client_of(alice)
    assert "Connect your mailbox" in client.get(reverse("home"), follow=True).content.decode()

    connected(alice, now)

    assert "Connect your mailbox" not in client.get(reverse("home"), follow=True).content.decode()


def test_is_private_and_strict(client_of: ClientOf, alice: User) -> None:
    answer = client_of(alice).get(reverse("accounts:profile"))

    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self';" in f"{policy};"
    assert answer["X-Frame-Options"] == "DENY"
    page = answer.content.decode()
    assert " style=" not in page
    assert "<style" not in page


@pytest.mark.django_db
def test_has_a_page_for_what_is_not_there(client: Client) -> None:
    answer = client.get("/there-is-no-such-page/")

    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


@pytest.mark.django_db
def test_has_a_page_for_a_lapsed_form(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)

    answer = client.post(reverse("account_login"), {"login": "x"})

    assert answer.status_code == 403
    assert "open too long" in answer.content.decode()


def test_has_pages_for_errors_before_anything_is_known(rf: RequestFactory) -> None:
    request = rf.get("/")

    assert b"Something went wrong on our side" in server_error(request).content
    assert b"was not understood" in bad_request(request, Exception()).content


@pytest.mark.parametrize("page", ["403.html", "429.html"])
def test_has_a_page_for_refusals(page: str) -> None:
    assert "Metaview Outreach" in render_to_string(page)
