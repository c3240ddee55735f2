"""Sign-in in a real browser, under the strict policy: nothing is blocked, and passkeys work."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from tests.accounts.conftest import verified
from tests.browser.conftest import PATIENCE_MS, SignedIn
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(site: str, new_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    """Of a browser that nobody is signed in to; a blocked script or style fails the test."""
    context = new_context(base_url=site)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text) if "Content Security" in message.text else None)
    yield page
    assert not blocked


def _sign_in(page: Page, user: User) -> None:
    page.goto("/account/login/")
    page.get_by_label("Email").fill(user.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def _give_authenticator(page: Page) -> None:
    """A fingerprint reader that always says yes."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_signs_in_with_a_passkey(page: Page, alice: User) -> None:
    verified(alice)
    _give_authenticator(page)
    _sign_in(page, alice)

    page.goto("/account/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("My laptop")
    page.get_by_label("Sign in with it alone").check()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Keep them in a safe place")).to_be_visible()

    page.goto("/account/2fa/webauthn/")
    expect(page.get_by_role("link", name="Rename My laptop")).to_be_visible()
    page.locator("summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def test_works_without_javascript(site: str, new_context: Callable[..., BrowserContext], alice: User) -> None:
    verified(alice)
    page = new_context(base_url=site, java_script_enabled=False).new_page()

    _sign_in(page, alice)

    page.locator("summary").click()
    page.get_by_role("link", name="Profile").click()
    expect(page.get_by_role("heading", name="Profile")).to_be_visible()


def test_is_operable_by_keyboard(page_of: SignedIn, alice: User) -> None:
    page = page_of(alice)
    page.goto("/settings/profile/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Your name")).to_be_focused()

    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(page.locator("summary")).to_be_focused()


def test_shows_where_the_focus_is(page_of: SignedIn, alice: User) -> None:
    page = page_of(alice)
    page.goto("/settings/profile/")

    for _ in range(12):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => {
                const look = getComputedStyle(document.activeElement);
                return look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2 || look.boxShadow !== "none";
            }"""
        )
        assert seen, page.evaluate("document.activeElement.outerHTML")


def test_keeps_the_admin_site_within_the_policy(page: Page, ada: User) -> None:
    verified(ada)
    User.objects.filter(pk=ada.pk).update(is_staff=True, is_superuser=True)
    _sign_in(page, ada)

    for path in (
        "/admin/",
        "/admin/accounts/user/",
        f"/admin/accounts/user/{ada.pk}/change/",
        "/admin/accounts/auditevent/",
    ):
        page.goto(path)
        expect(page.locator("#content")).to_be_visible()
