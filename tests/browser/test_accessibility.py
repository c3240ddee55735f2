"""axe-core finds no serious fault on any page, and no page is wider than a phone."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page

from accounts.models import User
from tests.browser.conftest import PATIENCE_MS, SignedIn
from tests.browser.showcase import Showcase, fill

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Address = Callable[[Showcase], str]
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 375, "height": 800}


def at(name: str, **path: Callable[[Showcase], object]) -> Address:
    """The address of a page by its name; what stands in the path is taken from the showcase."""
    return lambda shown: reverse(name, kwargs={key: take(shown) for key, take in path.items()})


def _pk(name: str) -> dict[str, Callable[[Showcase], object]]:
    return {"pk": lambda shown: getattr(shown, name).pk}


# Who looks at it, and where it is. A new page is one more line.
SIGNED_OUT = [
    "account_login",
    "account_signup",
    "account_reset_password",
    "account_inactive",
    "accounts:invitation_gone",
]
SIGNED_IN: list[tuple[str, Address]] = [
    ("alice", at("accounts:profile")),
    ("alice", at("accounts:notifications")),
    ("ada", at("accounts:people")),
    ("ada", at("accounts:invite")),
    ("ada", at("accounts:person", **_pk("deactivated"))),
    ("ada", at("accounts:deactivate", pk=lambda shown: shown.connection.owner_id)),
    ("ada", at("accounts:organization")),
    ("ada", at("accounts:audit")),
    ("alice", at("mfa_index")),
    ("alice", at("account_email")),
    ("alice", at("account_change_password")),
    ("alice", at("account_reauthenticate")),
    ("alice", at("mfa_list_webauthn")),
    ("alice", at("account_logout")),
    ("alice", at("mfa_activate_totp")),
    ("alice", at("mailconnect:settings")),
    ("carol", at("mailconnect:settings")),
    ("alice", at("mailconnect:manage")),
    ("alice", at("mailconnect:remove")),
    ("carol", at("mailconnect:approval")),
    ("carol", at("mailconnect:refused", reason=lambda shown: "other_address")),
    ("alice", at("mailconnect:permissions")),
    ("carol", at("mailconnect:permissions")),
    ("alice", at("mailconnect:grant", user_pk=lambda shown: shown.request.requester_id)),
    ("alice", at("mailconnect:grant_team")),
    ("alice", at("mailconnect:change_grant", **_pk("grant"))),
    ("alice", at("mailconnect:revoke", **_pk("grant"))),
    ("alice", at("mailconnect:request", **_pk("request"))),
    ("carol", at("mailconnect:ask_for", connection_pk=lambda shown: shown.connection.pk)),
    ("ada", at("mailconnect:overview")),
    ("alice", at("sequences:sent_by_others")),
    ("alice", at("sequences:first_email", **_pk("first_email"))),
    ("alice", at("sequences:list")),
    ("carol", at("sequences:list")),
    ("alice", at("sequences:new")),
    ("alice", at("sequences:detail", **_pk("sequence"))),
    ("alice", at("sequences:detail", **_pk("draft"))),
    ("alice", at("sequences:detail", **_pk("paused"))),
    ("alice", at("sequences:emails", **_pk("sequence"))),
    ("alice", at("sequences:dry_run", **_pk("sequence"))),
    ("alice", at("sequences:replies")),
    ("alice", at("sequences:sequence_replies", **_pk("sequence"))),
    ("carol", at("sequences:replies")),
    ("alice", at("sequences:settings", **_pk("sequence"))),
    ("alice", at("sequences:hours", **_pk("sequence"))),
    ("alice", at("sequences:suppressions")),
    ("carol", at("mailconnect:ask")),
    ("alice", at("sequences:steps", **_pk("sequence"))),
    ("alice", at("sequences:new_step", **_pk("draft"))),
    ("alice", at("sequences:edit_step", pk=lambda shown: shown.sequence.pk, step_pk=lambda shown: shown.step.pk)),
    ("alice", at("sequences:enroll", **_pk("draft"))),
    ("alice", at("sequences:message", **_pk("message"))),
    ("ada", at("sequences:hand_over", **_pk("sequence"))),
    ("ada", at("sequences:sequences_of", user_pk=lambda shown: shown.connection.owner_id)),
    ("ada", at("sequences:receipts")),
    ("alice", at("sequences:candidates")),
    ("alice", at("sequences:new_candidate")),
    ("alice", at("sequences:candidate", **_pk("candidate"))),
    ("alice", at("sequences:edit_candidate", **_pk("candidate"))),
    ("alice", at("sequences:new_import")),
    ("alice", at("sequences:import", **_pk("previewed"))),
    ("alice", at("sequences:import", **_pk("imported"))),
    ("alice", lambda shown: "/there-is-no-such-page/"),
    ("alice", at("accounts:people")),
]


@pytest.fixture
def people(alice: User, bob: User, carol: User, ada: User) -> dict[str, User]:
    return {"alice": alice, "bob": bob, "carol": carol, "ada": ada}


@pytest.fixture
def showcase(people: dict[str, User], now: datetime) -> Showcase:
    return fill(**people, now=now)


def faults_of(page: Page) -> list[str]:
    """What axe calls serious or critical, one line each; and whatever sticks out at the side."""
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    faults = [
        f"{page.url}: {fault['id']}: {fault['help']}: {node['html'][:160]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    wide = page.evaluate("document.documentElement.scrollWidth")
    return faults + ([f"{page.url}: {wide} px wide on a phone of {PHONE['width']} px"] if wide > PHONE["width"] else [])


def test_holds_for_who_is_signed_out(site: str, new_context: Callable[..., BrowserContext], db: None) -> None:
    # axe is a script of its own, which the policy would rightly refuse.
    page = new_context(base_url=site, bypass_csp=True).new_page()
    page.set_default_timeout(PATIENCE_MS)
    faults = []

    for name in SIGNED_OUT:
        page.goto(reverse(name))
        faults += faults_of(page)

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("who", ["alice", "carol", "ada"])
def test_holds_for_who_is_signed_in(who: str, people: dict[str, User], showcase: Showcase, page_of: SignedIn) -> None:
    page = page_of(people[who], bypass_csp=True)
    faults = []

    for address in [address for person, address in SIGNED_IN if person == who]:
        answer = page.goto(address(showcase))
        assert answer
        assert answer.status < 500, page.url
        faults += faults_of(page)

    assert not faults, "\n".join(faults)
