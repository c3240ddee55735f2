"""Microsoft's pages: what a person meets between Connect and the way back."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.sandbox_tenant import DEMO_TENANT, SandboxTenant
from tests.signing_in import Browser

SITE = "http://localhost:8000"
ALICE = "alice@demo.example"
ADA = "ada@demo.example"
SCOPES = "Mail.ReadWrite Mail.Send MailboxSettings.Read User.Read openid profile offline_access"
WITHOUT_CONSENT = "Return to the application without granting consent"


@pytest.fixture
def visitor() -> Iterator[Browser]:
    visitor = Browser(site=SITE)
    yield visitor
    visitor.close()


def asked(tenant: SandboxTenant, segment: str = "organizations", **changes: str) -> str:
    query = {
        "client_id": "00000000-0000-4000-8000-00000000c0de",
        "response_type": "code",
        "redirect_uri": f"{SITE}/back/",
        "scope": SCOPES,
        "state": "a&b=c",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    return f"{tenant.url}/{segment}/oauth2/v2.0/authorize?{urlencode(query | changes)}"


def admin_link(tenant: SandboxTenant, segment: str = "organizations") -> str:
    query = {
        "client_id": "00000000-0000-4000-8000-00000000c0de",
        "scope": "https://graph.microsoft.com/Mail.ReadWrite https://graph.microsoft.com/MailboxSettings.Read "
        "https://graph.microsoft.com/Mail.Send https://graph.microsoft.com/User.Read",
        "redirect_uri": f"{SITE}/approved/",
        "state": "it",
    }
    return f"{tenant.url}/{segment}/v2.0/adminconsent?{urlencode(query)}"


def brought(visitor: Browser) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(visitor.came_back).query))


def test_lead_back_with_a_code_and_the_state(tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(asked(tenant)).press(ALICE, "Accept")

    assert brought(visitor)["state"] == "a&b=c"
    assert "code" in brought(visitor)


@pytest.mark.parametrize("presses", [["Cancel"], [ALICE, "Cancel"]], ids=["at the accounts", "at the consent"])
def test_lead_back_when_a_person_cancels(tenant: SandboxTenant, visitor: Browser, presses: list[str]) -> None:
    visitor.open(asked(tenant)).press(*presses)

    assert brought(visitor) == {"error": "access_denied", "error_subcode": "cancel", "state": "a&b=c"}


@pytest.mark.parametrize(
    ("address", "code"),
    [("dora@demo.example", 50057), ("uma@demo.example", 50105), ("colin@demo.example", 53003)],
)
def test_stop_an_account_without_a_way_back(tenant: SandboxTenant, visitor: Browser, address: str, code: int) -> None:
    visitor.open(asked(tenant)).press(address)

    assert f"AADSTS{code}" in visitor.page.html
    assert not visitor.came_back
    assert visitor.page.pressable == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "another"}, 700016),
        ({"redirect_uri": "https://evil.example/"}, 50011),
        ({"scope": ""}, 900144),
    ],
)
def test_stop_a_wrong_app_without_a_way_back(
    tenant: SandboxTenant, visitor: Browser, changes: dict[str, str], code: int
) -> None:
    visitor.open(asked(tenant, **changes))

    assert f"AADSTS{code}" in visitor.page.html


def test_stop_an_app_of_one_tenant(tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.change_app(single_tenant=True)

    assert "AADSTS50194" in visitor.open(asked(tenant)).page.html
    visitor.open(asked(tenant, DEMO_TENANT)).press(ALICE, "Accept")
    assert "code" in brought(visitor)


def test_stop_an_account_of_another_tenant(tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(asked(tenant, DEMO_TENANT)).press("mallory@other.example")

    assert "AADSTS50020" in visitor.page.html


def test_know_the_registered_addresses(tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.change_app(redirect_uris=["http://localhost/back/"])

    assert "Alice Archer" in visitor.open(asked(tenant)).page.html  # a port does not matter for localhost
    assert "AADSTS50011" in visitor.open(asked(tenant, redirect_uri=f"{SITE}/Back/")).page.html


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": "none"}, "login_required"),
        ({"scope": "Mail.Everything"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_lead_back_with_an_error(tenant: SandboxTenant, visitor: Browser, changes: dict[str, str], error: str) -> None:
    visitor.open(asked(tenant, **changes))

    assert brought(visitor)["error"] == error


def test_show_the_expected_account_first(tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(asked(tenant, login_hint="carol@demo.example"))

    assert "carol@demo.example" in next(iter(visitor.page.pressable))


@pytest.mark.parametrize("mode", ["microsoft_managed", "off"])
def test_want_an_administrator(tenant: SandboxTenant, visitor: Browser, mode: str) -> None:
    tenant.consent_mode("demo.example", mode)

    visitor.open(asked(tenant)).press(ALICE)

    assert "AADSTS90094" in visitor.page.html
    visitor.press(WITHOUT_CONSENT)
    assert brought(visitor) == {"error": "access_denied", "error_subcode": "cancel", "state": "a&b=c"}


def test_let_people_grant_what_microsoft_leaves_to_them(tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.consent_mode("demo.example", "microsoft_managed")

    visitor.open(asked(tenant, scope="Mail.Send User.Read openid")).press(ALICE, "Accept")

    assert "code" in brought(visitor)


def test_take_a_request_for_approval(tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.consent_mode("demo.example", "off", workflow=True)

    visitor.open(asked(tenant)).press(ALICE, "Request approval")

    assert "AADSTS90095" in visitor.page.html
    visitor.press(WITHOUT_CONSENT)
    assert brought(visitor)["error_subcode"] == "cancel"
    assert [wish["address"] for wish in tenant.approval_requests()] == [ALICE]

    tenant.approve("demo.example")

    visitor.open(asked(tenant)).press(ALICE)
    assert "code" in brought(visitor)
    assert tenant.approval_requests() == []


def test_let_an_administrator_consent_for_everybody(tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.consent_mode("demo.example", "microsoft_managed")
    visitor.open(asked(tenant)).press(ALICE, "Have an admin account", ADA)

    visitor.press("Accept", for_all="yes")

    assert "code" in brought(visitor)
    visitor.open(asked(tenant)).press(ALICE)
    assert "code" in brought(visitor)


def test_approve_for_everybody_by_a_link(tenant: SandboxTenant, visitor: Browser) -> None:
    tenant.consent_mode("demo.example", "off")

    visitor.open(admin_link(tenant)).press(ADA, "Accept")

    answer = brought(visitor)
    assert (answer["admin_consent"], answer["tenant"], answer["state"]) == ("True", DEMO_TENANT, "it")
    visitor.open(asked(tenant)).press("bob@demo.example")
    assert "code" in brought(visitor)


def test_say_when_an_administrator_does_not_approve(tenant: SandboxTenant, visitor: Browser) -> None:
    visitor.open(admin_link(tenant)).press(ADA, "Cancel")

    answer = brought(visitor)
    assert (answer["admin_consent"], answer["error"]) == ("True", "consent_required")
    assert "tenant" not in answer


@pytest.mark.parametrize(
    ("segment", "address", "told"),
    [("organizations", ALICE, "AADSTS90094"), (DEMO_TENANT, "mallory@other.example", "AADSTS50020")],
)
def test_let_nobody_else_approve(
    tenant: SandboxTenant, visitor: Browser, segment: str, address: str, told: str
) -> None:
    visitor.open(admin_link(tenant, segment)).press(address)

    assert told in visitor.page.html
    assert not visitor.came_back
