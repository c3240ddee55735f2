"""msal as the judge of the sign-in: it is Microsoft's own, and knows Microsoft's answers."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msal
import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.sandbox.certificate import self_signed
from tests.sandbox_tenant import DEMO_TENANT, PERSONAL_TENANT, SandboxTenant
from tests.signing_in import Browser

CLIENT_ID = "00000000-0000-4000-8000-00000000c0de"
ALICE = "alice@demo.example"
SCOPES = ["Mail.ReadWrite", "Mail.Send", "MailboxSettings.Read", "User.Read", "email"]
RETURN = "http://localhost:8000/back/"
LOGIN = "https://login.microsoftonline.com"

Apps = Callable[..., msal.ConfidentialClientApplication]


class _Wire:
    """msal insists on Microsoft's name and https; this carries what it says to the sandbox."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, url: str, **options: Any) -> requests.Response:
        return requests.get(url.replace(LOGIN, self._url), timeout=30, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return requests.post(url.replace(LOGIN, self._url), timeout=30, **options)

    def close(self) -> None:
        pass


@pytest.fixture
def app_of(tenant: SandboxTenant) -> Apps:
    """A new app each time: msal remembers failures for a minute."""

    def app(
        credential: Any = "sandbox-secret", cache: msal.TokenCache | None = None, authority: str = "organizations"
    ) -> msal.ConfidentialClientApplication:
        return msal.ConfidentialClientApplication(
            CLIENT_ID,
            client_credential=credential,
            authority=f"{LOGIN}/{authority}",
            http_client=_Wire(tenant.url),
            token_cache=cache,
        )

    return app


def answered(app: msal.ConfidentialClientApplication, address: str, *presses: str, **asked: Any) -> Any:
    """Walk through the pages; the flow and what the redirect brought."""
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=RETURN, response_mode="query", **asked)
    browser = Browser(site="http://localhost:8000").open(flow["auth_uri"]).press(address, *presses)
    browser.close()
    return flow, dict(parse_qsl(urlsplit(browser.came_back).query))


def signed_in(app: msal.ConfidentialClientApplication, address: str = ALICE, *presses: str) -> dict[str, Any]:
    flow, answer = answered(app, address, *presses or ("Accept",))
    return dict(app.acquire_token_by_auth_code_flow(flow, answer))


def refreshed(app: msal.ConfidentialClientApplication) -> dict[str, Any]:
    [account] = app.get_accounts()
    return dict(app.acquire_token_silent_with_error(SCOPES, account, force_refresh=True))


def test_gives_tokens_for_a_code(tenant: SandboxTenant, app_of: Apps) -> None:
    app = app_of()

    result = signed_in(app)

    claims = result["id_token_claims"]
    assert claims["iss"] == f"{LOGIN}/{DEMO_TENANT}/v2.0"
    assert (claims["aud"], claims["tid"], claims["preferred_username"]) == (CLIENT_ID, DEMO_TENANT, ALICE)
    assert set(result["scope"].split()) >= set(SCOPES)
    assert 3600 <= result["expires_in"] <= 5400
    [account] = app.get_accounts()
    assert account["home_account_id"] == f"{claims['oid']}.{DEMO_TENANT}"
    me = requests.get(
        f"{tenant.url}/v1.0/me", headers={"Authorization": f"Bearer {result['access_token']}"}, timeout=30
    ).json()
    assert me["id"] == claims["oid"]


def test_signs_what_it_says(tenant: SandboxTenant, app_of: Apps) -> None:
    head, content, signature = signed_in(app_of())["id_token"].split(".")

    [key] = requests.get(f"{tenant.url}/organizations/discovery/v2.0/keys", timeout=30).json()["keys"]
    numbers = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "=="), "big") for name in ("e", "n"))
    rsa.RSAPublicNumbers(*numbers).public_key().verify(
        base64.urlsafe_b64decode(signature + "=="), f"{head}.{content}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )


def test_asks_for_consent_once(app_of: Apps) -> None:
    signed_in(app_of())

    assert "access_token" in signed_in(app_of(), ALICE, "")


def test_rotates_refresh_tokens_and_keeps_the_old_ones(app_of: Apps) -> None:
    first, second = msal.SerializableTokenCache(), msal.SerializableTokenCache()
    signed_in(app_of(cache=first))
    second.deserialize(first.serialize())

    results = [refreshed(app_of(cache=cache)) for cache in (first, second)]

    assert results[0]["access_token"] != results[1]["access_token"]
    kept = [next(iter(json.loads(cache.serialize())["RefreshToken"].values()))["secret"] for cache in (first, second)]
    assert kept[0] != kept[1]


@pytest.mark.parametrize(
    ("code", "error", "suberror"),
    [
        (50076, "invalid_grant", "basic_action"),
        (50173, "invalid_grant", "bad_token"),
        (700082, "invalid_grant", "bad_token"),
        (50196, "invalid_grant", ""),
        (50057, "invalid_grant", ""),
        (90055, "temporarily_unavailable", ""),
    ],
)
def test_refuses_a_refresh(tenant: SandboxTenant, app_of: Apps, code: int, error: str, suberror: str) -> None:
    app = app_of()
    signed_in(app)
    tenant.change_account(ALICE, refused_with=code)

    if error == "temporarily_unavailable":
        with pytest.raises(msal.exceptions.MsalServiceError):
            refreshed(app)
        return
    result = refreshed(app)

    assert (result["error"], result["error_codes"], result.get("suberror", "")) == (error, [code], suberror)
    assert f"AADSTS{code}" in result["error_description"]
    assert {"trace_id", "correlation_id", "timestamp", "error_uri"} <= result.keys()
    assert ("claims" in result) == (code == 50076)


def test_refuses_what_was_revoked(tenant: SandboxTenant, app_of: Apps) -> None:
    app = app_of()
    signed_in(app)
    tenant.revoke_tokens(ALICE)

    assert refreshed(app)["error_codes"] == [50173]


def test_refuses_after_consent_was_taken_back(tenant: SandboxTenant, app_of: Apps) -> None:
    app = app_of()
    signed_in(app)
    tenant.change_account(ALICE, consented=[])

    assert (result := refreshed(app))["error_codes"] == [65001]
    assert result["suberror"] == "consent_required"


def test_grants_less_than_was_asked_for_as_a_success(tenant: SandboxTenant, app_of: Apps) -> None:
    tenant.change_account(ALICE, only_scopes=["User.Read"])

    result = signed_in(app_of())

    assert set(result["scope"].split()) == {"User.Read", "openid", "profile", "email"}


@pytest.mark.parametrize(
    ("changed", "credential", "code"),
    [
        ({}, "wrong", 7000215),
        ({"secret_expired": True}, "sandbox-secret", 7000222),
        ({"client_id": "another"}, "sandbox-secret", 700016),
    ],
)
def test_refuses_the_app(
    tenant: SandboxTenant, app_of: Apps, changed: dict[str, Any], credential: str, code: int
) -> None:
    tenant.change_app(**changed)

    result = app_of(credential).acquire_token_by_refresh_token("any", SCOPES)

    assert result["error_codes"] == [code]
    assert result["error"] == ("unauthorized_client" if code == 700016 else "invalid_client")


def test_answers_401_for_a_wrong_secret_alone(tenant: SandboxTenant) -> None:
    address = f"{tenant.url}/organizations/oauth2/v2.0/token"
    right = {"client_id": CLIENT_ID, "client_secret": "sandbox-secret", "grant_type": "refresh_token"}

    statuses = [
        requests.post(address, data=data, timeout=30).status_code
        for data in (right | {"client_secret": "wrong"}, right, {"client_id": CLIENT_ID}, right | {"grant_type": "x"})
    ]

    assert statuses == [401, 400, 401, 400]


def test_accepts_a_certificate(app_of: Apps) -> None:
    pem = self_signed()

    assert "access_token" in signed_in(app_of({"private_key": pem, "public_certificate": pem}))


def test_refuses_an_assertion_of_another_key(app_of: Apps) -> None:
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = another.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

    result = app_of({"private_key": key, "public_certificate": self_signed()}).acquire_token_by_refresh_token(
        "any", SCOPES
    )

    assert result["error_codes"] == [700027]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda flow, answer: answer | {"code": "nothing"}, 9002313),
        (lambda flow, answer: flow.update(code_verifier="x" * 50) or answer, 501481),
        (lambda flow, answer: flow.update(redirect_uri="http://localhost:8000/other/") or answer, 70000),
    ],
    ids=["another code", "another verifier", "another address"],
)
def test_refuses_a_code(app_of: Apps, spoil: Callable[[Any, Any], Any], code: int) -> None:
    app = app_of()
    flow, answer = answered(app, ALICE, "Accept")

    result = app.acquire_token_by_auth_code_flow(flow, spoil(flow, answer))

    assert result["error_codes"] == [code]


def test_takes_a_code_once_and_where_it_was_given(app_of: Apps) -> None:
    flow, answer = answered(app_of(), ALICE, "Accept")

    assert app_of(authority=DEMO_TENANT).acquire_token_by_auth_code_flow(flow, answer)["error_codes"] == [700005]
    assert "access_token" in app_of().acquire_token_by_auth_code_flow(flow, answer)
    assert app_of().acquire_token_by_auth_code_flow(flow, answer)["error_codes"] == [54005]


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("html", msal.exceptions.MsalServiceError),
        ("garbage", ValueError),
        ("lost_before", requests.ConnectionError),
        ("status", msal.exceptions.MsalServiceError),
    ],
)
def test_fails_as_it_is_told(tenant: SandboxTenant, app_of: Apps, kind: str, raised: type[Exception]) -> None:
    app = app_of()
    signed_in(app)
    tenant.fault(ALICE, "token", kind)

    with pytest.raises(raised):
        refreshed(app)

    assert [call.fault for call in tenant.calls(ALICE, "token")] == ["", kind]


def test_knows_guests_by_their_home(tenant: SandboxTenant, app_of: Apps) -> None:
    app = app_of()

    claims = signed_in(app, "gus@partner.example")["id_token_claims"]

    assert claims["tid"] == DEMO_TENANT
    assert claims["acct"] == 1
    assert not app.get_accounts()[0]["home_account_id"].endswith(DEMO_TENANT)


def test_lets_a_stranger_claim_any_address(app_of: Apps) -> None:
    claims = signed_in(app_of(), "eve@other.example")["id_token_claims"]

    assert (claims["email"], claims["preferred_username"]) == (ALICE, "eve@other.example")
    assert claims["tid"] != DEMO_TENANT


def test_keeps_personal_accounts_out_of_organizations(tenant: SandboxTenant, app_of: Apps) -> None:
    flow = app_of().initiate_auth_code_flow(SCOPES, redirect_uri=RETURN)
    browser = Browser(site="http://localhost:8000").open(flow["auth_uri"]).press("pat@personal.example")
    assert "AADSTS500208" in browser.page.html
    browser.close()

    tenant.turn(personal_accounts_pass=True)

    assert signed_in(app_of(), "pat@personal.example")["id_token_claims"]["tid"] == PERSONAL_TENANT
