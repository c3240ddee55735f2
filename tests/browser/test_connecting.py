"""Connecting a mailbox, in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from mailconnect.models import MailConnection
from tests.browser.conftest import SignedIn
from tests.sandbox_tenant import SandboxTenant

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SETTINGS = "/settings/mailbox/"


def pick(microsoft: Page, address: str) -> None:
    microsoft.get_by_role("button", name=address).click()


def accept(microsoft: Page, address: str) -> None:
    pick(microsoft, address)
    microsoft.get_by_role("button", name="Accept").click()


def test_goes_through_a_popup_that_closes_and_the_page_follows(
    tenant: SandboxTenant, alice: User, page_of: SignedIn
) -> None:
    page = page_of(alice)
    page.goto(SETTINGS)

    with page.expect_popup() as popup:
        page.get_by_role("button", name="Connect Email").click()
    with popup.value.expect_event("close"):
        accept(popup.value, "alice@demo.example")

    expect(page.get_by_text("Connected as alice@demo.example")).to_be_visible()
    assert MailConnection.objects.get().state == MailConnection.State.CONNECTED


def test_goes_through_the_page_itself_where_popups_are_blocked(
    tenant: SandboxTenant, alice: User, page_of: SignedIn
) -> None:
    page = page_of(alice)
    page.add_init_script("window.open = () => null")
    page.goto(SETTINGS)

    page.get_by_role("button", name="Connect Email").click()
    accept(page, "alice@demo.example")

    expect(page.get_by_text("Connected as alice@demo.example")).to_be_visible()
    assert page.url.endswith(SETTINGS)


def test_works_without_javascript(tenant: SandboxTenant, alice: User, page_of: SignedIn) -> None:
    page = page_of(alice, java_script_enabled=False)
    page.goto(SETTINGS)

    page.get_by_role("button", name="Connect Email").click()
    accept(page, "alice@demo.example")

    expect(page.get_by_text(re.compile("Connected as alice@demo.example"))).to_be_visible()
