"""`manage.py check_microsoft`: what is wrong with the app registration, in words."""

from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from tests.sandbox.certificate import self_signed
from tests.sandbox_tenant import SandboxTenant

pytestmark = pytest.mark.django_db


def said() -> tuple[bool, str]:
    """Whether all was good, and what the command said."""
    out = StringIO()
    try:
        call_command("check_microsoft", stdout=out, no_color=True)
    except SystemExit as end:
        return end.code == 0, out.getvalue()
    return True, out.getvalue()


def test_says_that_all_is_well_and_what_to_register(tenant: SandboxTenant, settings: Settings) -> None:
    good, text = said()

    assert good
    assert "PROBLEM" not in text
    assert f"{settings.SITE_URL}/settings/mailbox/callback/" in text
    assert "Mail.ReadWrite, Mail.Send, MailboxSettings.Read, User.Read" in text
    assert "/v2.0/adminconsent?" in text


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda tenant: tenant.change_app(secret="another"), "AADSTS7000215"),
        (lambda tenant: tenant.expire_secret(), "AADSTS7000222"),
        (lambda tenant: tenant.change_app(client_id="another"), "AADSTS700016"),
    ],
    ids=["wrong secret", "expired secret", "unknown app"],
)
def test_says_what_microsoft_objects_to(
    tenant: SandboxTenant, spoil: Callable[[SandboxTenant], object], told: str
) -> None:
    spoil(tenant)

    good, text = said()

    assert not good
    assert f"({told})" in text


def test_says_that_microsoft_cannot_be_reached(settings: Settings) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:9"

    good, text = said()

    assert not good
    assert "cannot be reached" in text


@pytest.mark.parametrize(
    ("days", "good", "told"),
    [
        (-3, False, "expired 3 days ago"),
        (20, False, "expires in 20 days"),
        (200, True, "good for 200 days"),
    ],
)
def test_warns_before_the_secret_expires(
    tenant: SandboxTenant, settings: Settings, days: int, good: bool, told: str
) -> None:
    settings.MICROSOFT_SECRET_EXPIRES = str(date.today() + timedelta(days=days))  # noqa: DTZ011

    assert said()[0] == good
    assert told in said()[1]


def test_says_that_an_id_or_a_date_is_none(tenant: SandboxTenant, settings: Settings) -> None:
    settings.MICROSOFT_CLIENT_ID = "Metaview"
    settings.MICROSOFT_SECRET_EXPIRES = "soon"

    good, text = said()

    assert not good
    assert "MICROSOFT_CLIENT_ID is no id" in text
    assert "must be a date" in text


def test_uses_a_certificate(tenant: SandboxTenant, settings: Settings, tmp_path: object) -> None:
    path = f"{tmp_path}/app.pem"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(self_signed())
    settings.MICROSOFT_CERTIFICATE = path

    good, text = said()

    assert good, text
    assert "A certificate is used" in text


def test_says_that_a_certificate_is_none(tenant: SandboxTenant, settings: Settings) -> None:
    settings.MICROSOFT_CERTIFICATE = "/nowhere/app.pem"

    good, text = said()

    assert not good
    assert "Check MICROSOFT_CLIENT_SECRET or MICROSOFT_CERTIFICATE" in text
