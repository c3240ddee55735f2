"""What no page of ours sends, sent to our pages: refused or passed over, never an error of ours."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from mailconnect.models import DelegationGrant
from tests.mailconnect.owning import connected
from tests.sequences.permitting import running

pytestmark = pytest.mark.django_db

ClientOf = Callable[[User], Client]
NUL = "a\0b"
MANY_DIGITS = "9" * 5000  # more than Python reads
LARGE = "9" * 18  # more than there are rows


def _name(value: object) -> str:
    return str(value)[:40]


@pytest.mark.parametrize(
    ("view", "query"),
    [
        ("mailconnect:permissions", {"q": NUL}),
        ("mailconnect:ask", {"q": NUL, "page": MANY_DIGITS, "sequence": MANY_DIGITS}),
        ("mailconnect:callback", {"state": NUL, "code": NUL}),
        ("mailconnect:approval_callback", {"state": NUL, "tenant": NUL}),
        ("sequences:suppressions", {"q": NUL, "before": MANY_DIGITS}),
        ("sequences:suppressions", {"before": LARGE}),
        ("sequences:candidates", {"q": NUL, "after": LARGE, "import": MANY_DIGITS}),
        ("sequences:list", {"state": NUL, "whose": NUL, "page": "-1"}),
        ("sequences:replies", {"kind": NUL}),
        ("accounts:audit", {"until": "9999-12-31", "actor": MANY_DIGITS}),
        ("accounts:audit", {"since": "0001-01-01", "actor": NUL, "action": NUL}),
    ],
    ids=_name,
)
def test_in_an_address_is_passed_over(
    view: str, query: Mapping[str, str], ada: User, now: datetime, client_of: ClientOf
) -> None:
    connected(ada, now)
    assert client_of(ada).get(reverse(view), query, follow=True).status_code == 200


@pytest.mark.parametrize(
    "query",
    [{"until": "9999-12-31"}, {"since": "0001-01-01"}, {"mailbox": MANY_DIGITS}, {"person": NUL}],
    ids=_name,
)
def test_receipts_are_exported_for_what_can_be_read_alone(
    query: Mapping[str, str], ada: User, client_of: ClientOf
) -> None:
    assert client_of(ada).get(reverse("sequences:export_receipts"), {**query, "format": "csv"}).status_code == 400


@pytest.mark.parametrize(
    "terms",
    [{"expires_on": "9999-12-31"}, {"expires_on": "0001-01-01"}, {"daily_cap": LARGE}, {"sequence_id": MANY_DIGITS}],
    ids=_name,
)
def test_makes_no_permission(
    terms: Mapping[str, str], alice: User, bob: User, now: datetime, client_of: ClientOf
) -> None:
    connected(alice, now)
    response = client_of(alice).post(reverse("mailconnect:grant", args=[bob.pk]), terms)
    assert response.context["form"].errors
    assert not DelegationGrant.objects.exists()


@pytest.mark.parametrize(
    ("view", "data"),
    [
        ("preview_step", {"position": MANY_DIGITS}),
        ("preview_step", {"candidate": LARGE * 3, "connection": LARGE * 3}),
        ("preview_step", {"subject": NUL}),
        ("continue_held", {"reason": NUL}),
        ("enroll", {"candidate": [MANY_DIGITS, LARGE]}),
        ("enroll_import", {"import": MANY_DIGITS}),
        ("hand_over", {"to": MANY_DIGITS, "connection": NUL}),
    ],
    ids=_name,
)
def test_about_a_sequence_changes_nothing(
    view: str, data: Mapping[str, Any], ada: User, now: datetime, client_of: ClientOf
) -> None:
    sequence = running(ada, connected(ada, now))
    response = client_of(ada).post(reverse(f"sequences:{view}", args=[sequence.pk]), data)
    assert response.status_code in (200, 302, 404)
    assert not sequence.enrollments.exists()
