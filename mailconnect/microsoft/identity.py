"""Sign-in at Microsoft (Entra ID, through msal): ask for consent, redeem codes, refresh tokens, tell failures apart.

Facts and their sources: reference A (OAuth) and B (msal).
"""

import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msal
import requests
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from requests.adapters import HTTPAdapter

from mailconnect.microsoft.errors import MicrosoftError, MicrosoftUnavailable, OperatorProblem, ReconnectNeeded
from mailconnect.microsoft.graph import GRAPH_HOSTS

GRAPH_SCOPES = ("Mail.ReadWrite", "Mail.Send", "MailboxSettings.Read", "User.Read")
# msal adds openid, profile and offline_access by itself, and refuses to be given them.
SCOPES = [*GRAPH_SCOPES, "email"]
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
CONNECT_SECONDS = 5
READ_SECONDS = 15
CLOCK_SKEW_SECONDS = 300
DISCOVERY_LIFE_SECONDS = 3600

# msal recommends form_post, whose cross-site POST would come without our SameSite session cookie (reference A2).
warnings.filterwarnings("ignore", message="response_mode=", category=UserWarning)

# AADSTS code → reason, by who can mend it (reference A5).
_THE_OWNER = {
    **dict.fromkeys((65001, 65004), "consent_missing"),
    **dict.fromkeys((90093, 90094, 900941, 900981), "approval_needed"),
    90095: "approval_requested",
    50105: "not_assigned",
    **dict.fromkeys((53000, 53001, 53002, 53003, 530032, 530035), "conditional_access"),
    **dict.fromkeys((50072, 50074, 50076, 50078, 50079, 50158), "security_check"),
    **dict.fromkeys((70008, 700082), "connection_expired"),
    70043: "sign_in_frequency",
    9002313: "sign_in_again",  # a refresh token that cannot be one
    **dict.fromkeys((50089, 50132, 50133, 50173, 70000), "access_revoked"),
    **dict.fromkeys((50034, 50057, 51004), "account_disabled"),
    **dict.fromkeys((16000, 50020, 90072), "other_tenant"),
    **dict.fromkeys((500208, 9002332), "personal_account"),
    **dict.fromkeys((54005, 501481, 700005), "flow_unknown"),
    **dict.fromkeys((70001, 1000031, 7000112), "app_disabled"),
}
_THE_OPERATOR = {
    7000215: "secret_wrong",
    7000222: "secret_expired",
    **dict.fromkeys((700025, 700027, 7000218), "credential_refused"),
    **dict.fromkeys((700011, 700016), "app_unknown"),
    50194: "app_single_tenant",
    90008: "permission_unregistered",
    **dict.fromkeys((50011, 500113, 900971), "redirect_uri_unregistered"),
    **dict.fromkeys((28002, 28003, 70011), "request_refused"),
}
_TIME = {50000, 50033, 50196, 90006, 90012, 90024, 90033, 90055}
# Where no code is known, OAuth's own word decides.
_BY_ERROR: dict[str, tuple[type[MicrosoftError], str]] = {
    "invalid_grant": (ReconnectNeeded, "sign_in_again"),
    "interaction_required": (ReconnectNeeded, "security_check"),
    "login_required": (ReconnectNeeded, "sign_in_again"),
    "consent_required": (ReconnectNeeded, "consent_missing"),
    # Cancel and "return without granting consent" look the same (reference A4): never say that the person declined.
    "access_denied": (ReconnectNeeded, "approval_needed"),
    "invalid_client": (OperatorProblem, "credential_refused"),
    "unauthorized_client": (OperatorProblem, "app_unknown"),
    **dict.fromkeys(
        ("invalid_request", "invalid_scope", "invalid_resource", "unsupported_response_type"),
        (OperatorProblem, "request_refused"),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenAnswer:
    """What a redeemed code or a refresh brings."""

    access_token: str = field(repr=False)
    expires_in: int  # seconds
    cache: str = field(repr=False)  # msal's serialized cache: it holds the refresh token
    scopes: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Who signed in, by the claims of a checked id_token."""

    tenant_id: str
    object_id: str
    is_personal: bool
    is_guest: bool


def begin_sign_in(*, redirect_uri: str, state: str, login_hint: str) -> tuple[str, dict[str, Any]]:
    """The address to send the person to, and msal's flow: keep it secret, it holds the PKCE verifier."""
    with _translated():
        flow = _app(msal.SerializableTokenCache()).initiate_auth_code_flow(
            SCOPES, redirect_uri=redirect_uri, state=state, login_hint=login_hint, response_mode="query"
        )
        return flow["auth_uri"], flow


def redeem(flow: dict[str, Any], answer: Mapping[str, str]) -> tuple[TokenAnswer, Account]:
    """Redeem what Microsoft's redirect brought, and check the claims, which msal does not (reference B3).

    Nothing is kept: msal writes to a throw-away cache before it compares the nonce. Raises `ReconnectNeeded`,
    `OperatorProblem` or `MicrosoftUnavailable` with a reason of `mailconnect.reasons`.
    """
    cache = msal.SerializableTokenCache()
    with _translated():
        app = _app(cache)
        try:
            result = app.acquire_token_by_auth_code_flow(flow, dict(answer))
        except RuntimeError as error:  # the nonce is another's
            raise ReconnectNeeded("answer_not_trusted") from error
        tokens = _token_answer(result, cache)
        home_account_id = app.get_accounts()[0]["home_account_id"]
    return tokens, _checked_account(result.get("id_token_claims") or {}, home_account_id)


def refresh(serialized_cache: str) -> TokenAnswer:
    """A new access token, and the cache with the refresh token as Microsoft rotated it. Raises as `redeem`."""
    cache = msal.SerializableTokenCache()
    with _translated():
        cache.deserialize(serialized_cache)
        app = _app(cache)
        accounts = app.get_accounts()
        result = accounts and app.acquire_token_silent_with_error(list(GRAPH_SCOPES), accounts[0], force_refresh=True)
        if not result:
            raise ReconnectNeeded("sign_in_again")
        tokens = _token_answer(result, cache)
    if not tokens.scopes.issuperset(GRAPH_SCOPES):  # a narrower grant comes as a success (reference B4)
        raise ReconnectNeeded("scope_missing")
    return tokens


def admin_consent_url(*, tenant: str, state: str, redirect_uri: str) -> str:
    """Where an administrator approves the app for everybody in the tenant (reference A7)."""
    query = {
        "client_id": settings.MICROSOFT_CLIENT_ID,
        "scope": " ".join(f"{GRAPH_HOSTS[settings.MICROSOFT_CLOUD]}/{scope}" for scope in GRAPH_SCOPES),
        "redirect_uri": redirect_uri,
        "state": state,
    }
    host = settings.SANDBOX_URL or f"https://{settings.MICROSOFT_LOGIN_HOST}"
    return f"{host}/{tenant or 'organizations'}/v2.0/adminconsent?{urlencode(query)}"


def probe() -> None:
    """Offer Microsoft a refresh token that cannot be one: how it is refused tells whether our credential counts.

    Returns when only the token is wrong. Raises `OperatorProblem` or `MicrosoftUnavailable`.
    """
    with _translated():
        app = _app(msal.SerializableTokenCache())
        result = app.acquire_token_by_refresh_token("not-a-refresh-token", list(GRAPH_SCOPES))
    error = failure(result)
    if not isinstance(error, ReconnectNeeded):
        raise error


def failure(answer: Mapping[str, Any]) -> MicrosoftError:
    """The error that an answer with `error` means: for the owner, for the operator, or for time to mend.

    Microsoft's codes may change any time, so they choose the words; an unknown one falls back on OAuth's `error`.
    """
    error = str(answer.get("error", ""))
    codes = answer.get("error_codes") or re.findall(r"AADSTS(\d+)", str(answer.get("error_description", "")))
    known = {int(code) for code in codes}
    for code in known & _THE_OPERATOR.keys():
        return OperatorProblem(_THE_OPERATOR[code])
    for code in known & _THE_OWNER.keys():
        return ReconnectNeeded(_THE_OWNER[code])
    if known & _TIME:
        return MicrosoftUnavailable("microsoft_unavailable")
    if answer.get("suberror") == "consent_required":
        return ReconnectNeeded("consent_missing")
    kind, reason = _BY_ERROR.get(error, (MicrosoftUnavailable, "microsoft_unavailable"))
    return kind(reason)


def _app(cache: msal.SerializableTokenCache) -> msal.ConfidentialClientApplication:
    """An app per call: its cache is one mailbox's, and its 60-second memory of failures must not outlive the call.

    What is worth remembering, Microsoft's discovery document, is remembered by the session below.
    """
    return msal.ConfidentialClientApplication(
        settings.MICROSOFT_CLIENT_ID,
        client_credential=_credential(),
        authority=f"https://{settings.MICROSOFT_LOGIN_HOST}/organizations",
        token_cache=cache,
        http_client=_http(settings.MICROSOFT_LOGIN_HOST, settings.SANDBOX_URL),
        instance_discovery=False,
    )


def _credential() -> str | dict[str, str]:
    if not settings.MICROSOFT_CERTIFICATE:
        return str(settings.MICROSOFT_CLIENT_SECRET)
    try:
        pem = Path(settings.MICROSOFT_CERTIFICATE).read_text(encoding="utf-8")
        load_pem_private_key(pem.encode(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise OperatorProblem("credential_refused") from error
    # Without a thumbprint msal signs with PS256 and SHA-256; with one it would fall back to SHA-1 (reference A11).
    return {"private_key": pem, "public_certificate": pem}


def _token_answer(result: Mapping[str, Any], cache: msal.SerializableTokenCache) -> TokenAnswer:
    if "access_token" not in result:
        raise failure(result)
    granted = result.get("scope") or " ".join(GRAPH_SCOPES)  # left out where it is what was asked for (RFC 6749 5.1)
    return TokenAnswer(
        access_token=result["access_token"],
        expires_in=int(result.get("expires_in", 0)),
        cache=cache.serialize(),
        scopes=frozenset(scope.rpartition("/")[2] for scope in granted.split()),
    )


def _checked_account(claims: Mapping[str, Any], home_account_id: str) -> Account:
    """The rules of reference A8. The signature needs no check: the token came from the token endpoint over TLS."""
    tenant = str(claims.get("tid", ""))
    now = time.time()
    try:
        trusted = (
            claims["iss"] == f"https://{settings.MICROSOFT_LOGIN_HOST}/{tenant}/v2.0"
            and claims["aud"] == settings.MICROSOFT_CLIENT_ID
            and claims["ver"] == "2.0"
            and now < claims["exp"] + CLOCK_SKEW_SECONDS
            and claims.get("nbf", 0) < now + CLOCK_SKEW_SECONDS
            and bool(tenant and claims["oid"])
        )
    except (KeyError, TypeError):
        trusted = False
    if not trusted:
        raise ReconnectNeeded("answer_not_trusted")
    return Account(
        tenant_id=tenant,
        object_id=str(claims["oid"]),
        is_personal=tenant == PERSONAL_TENANT,
        is_guest=_is_guest(claims, tenant, home_account_id),
    )


def _is_guest(claims: Mapping[str, Any], tenant: str, home_account_id: str) -> bool:
    """Any of the four signs of reference A8; msal's home_account_id is "uid.utid", utid being the home tenant."""
    home_tenant = home_account_id.partition(".")[2]
    return (
        str(claims.get("acct", "0")) == "1"
        or claims.get("idp", claims["iss"]) != claims["iss"]
        or home_tenant not in ("", tenant)
        or "#EXT#" in str(claims.get("preferred_username", "")).upper()
    )


@contextmanager
def _translated() -> Iterator[None]:
    """What msal and requests raise when Microsoft is away, unwell, or answers something that is no answer.

    ValueError is msal's for HTML in place of JSON; the last three are what JSON of another shape makes of it.
    """
    try:
        yield
    except (
        requests.RequestException,
        msal.exceptions.MsalError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise MicrosoftUnavailable("microsoft_unavailable") from error


class _ToSandbox(HTTPAdapter):
    """msal insists on https and Microsoft's name; this carries what it says to the sandbox tenant instead."""

    def __init__(self, login_url: str, sandbox_url: str) -> None:
        super().__init__()
        self._login_url = login_url
        self._sandbox_url = sandbox_url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = (request.url or "").replace(self._login_url, self._sandbox_url, 1)
        return super().send(request, *args, **kwargs)


class _Http:
    """The HTTP client that msal is given: timeouts on everything, no repeats, and a memory for discovery alone."""

    def __init__(self, login_host: str, sandbox_url: str) -> None:
        self._session = requests.Session()
        self._discovered: dict[str, tuple[float, requests.Response]] = {}
        if sandbox_url:
            login_url = f"https://{login_host}"
            self._session.mount(login_url, _ToSandbox(login_url, sandbox_url))
            self._session.trust_env = False

    def get(self, url: str, **options: Any) -> requests.Response:
        until, answer = self._discovered.get(url, (0.0, None))
        if answer is None or time.monotonic() > until:
            answer = self._session.get(url, timeout=(CONNECT_SECONDS, READ_SECONDS), **options)
            if answer.ok and '"token_endpoint"' in answer.text:
                self._discovered[url] = (time.monotonic() + DISCOVERY_LIFE_SECONDS, answer)
        return answer

    def post(self, url: str, **options: Any) -> requests.Response:
        # A redirect would carry our secret to another host.
        return self._session.post(url, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, **options)

    def close(self) -> None:
        """msal's contract; the session is kept for the life of this worker."""


@lru_cache(maxsize=4)
def _http(login_host: str, sandbox_url: str) -> _Http:
    return _Http(login_host, sandbox_url)
