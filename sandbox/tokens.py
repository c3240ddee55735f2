"""The token endpoint, discovery and keys of Entra ID v2.0."""

import base64
import hashlib
import json
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox import credentials
from sandbox.answers import plain
from sandbox.credentials import TokenRefused
from sandbox.directory import Account
from sandbox.wire import Request, Response
from sandbox.world import Call, World

LOGIN = "https://login.microsoftonline.com"
GRAPH = "https://graph.microsoft.com/"
OPENID_SCOPES = {"openid", "profile", "email", "offline_access"}
GRAPH_SCOPES = {"Mail.ReadWrite", "Mail.Send", "MailboxSettings.Read", "User.Read", "Mail.Read", "Mail.Send.Shared"}
CODE_SECONDS = 600
ID_TOKEN_SECONDS = 3600

# AADSTS code → error, suberror, text.
PROBLEMS: dict[int, tuple[str, str, str]] = {
    65001: ("invalid_grant", "consent_required", "The user or administrator has not consented to use the application."),
    65004: ("access_denied", "", "User declined to consent to access the app."),
    90094: ("access_denied", "", "Admin consent is required for the permissions requested by this application."),
    50057: ("invalid_grant", "", "The user account is disabled."),
    50034: ("invalid_grant", "", "The user account does not exist in the directory."),
    50105: ("invalid_grant", "", "The signed in user is not assigned to a role for the application."),
    50076: (
        "invalid_grant",
        "basic_action",
        "Due to a configuration change made by your administrator, you must use multi-factor authentication.",
    ),
    50079: ("invalid_grant", "basic_action", "You must enroll in multi-factor authentication."),
    50158: ("invalid_grant", "additional_action", "External security challenge was not satisfied."),
    50173: ("invalid_grant", "bad_token", "The provided grant has expired due to it being revoked."),
    50196: ("invalid_grant", "", "The server terminated an operation because it encountered a client request loop."),
    53003: ("invalid_grant", "message_only", "Access has been blocked by Conditional Access policies."),
    54005: ("invalid_grant", "", "OAuth2 Authorization code was already redeemed, please retry with a new valid code."),
    70000: ("invalid_grant", "", "Provided grant is invalid or malformed."),
    70008: ("invalid_grant", "", "The provided authorization code or refresh token has expired due to inactivity."),
    70011: ("invalid_scope", "", "The provided value for the input parameter 'scope' is not valid."),
    70043: ("invalid_grant", "bad_token", "The refresh token has expired due to sign-in frequency checks."),
    700005: ("invalid_grant", "", "Provided Authorization Code is intended for another tenant, thus rejected."),
    700016: ("unauthorized_client", "", "Application with identifier was not found in the directory."),
    700027: ("invalid_client", "", "Client assertion failed signature validation."),
    700082: ("invalid_grant", "bad_token", "The refresh token has expired due to inactivity."),
    501481: ("invalid_grant", "", "The Code_Verifier does not match the code_challenge supplied in the authorization."),
    900144: ("invalid_request", "", "The request body must contain the missing parameter."),
    9002313: ("invalid_grant", "", "Invalid request. Request is malformed or invalid."),
    7000112: ("unauthorized_client", "", "Application is disabled."),
    7000215: ("invalid_client", "", "Invalid client secret provided."),
    7000218: ("invalid_client", "", "The request body must contain 'client_assertion' or 'client_secret'."),
    7000222: ("invalid_client", "", "The provided client secret keys for the app are expired."),
    90033: ("temporarily_unavailable", "", "A transient error has occurred. Please try again."),
    90055: ("temporarily_unavailable", "", "Tenant is throttled due to too many requests."),
}
_CLAIMS = json.dumps({"access_token": {"capolids": {"essential": True, "values": ["ca-policy"]}}})


@dataclass(frozen=True)
class _Granted:
    """Who gets tokens, for what, and what the id_token says besides."""

    person: Account
    scopes: list[str]
    nonce: str = ""


def discovery(request: Request, segment: str) -> Response:
    """msal takes only https endpoints, so the token endpoint bears Microsoft's name; browsers come here by ours."""
    return plain(
        {
            "issuer": f"{LOGIN}/{'{tenantid}' if segment in ('organizations', 'common') else segment}/v2.0",
            "authorization_endpoint": f"{request.origin}/{segment}/oauth2/v2.0/authorize",
            "token_endpoint": f"{LOGIN}/{segment}/oauth2/v2.0/token",
            "end_session_endpoint": f"{request.origin}/{segment}/oauth2/v2.0/logout",
            "jwks_uri": f"{LOGIN}/{segment}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": sorted(OPENID_SCOPES),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        }
    )


def instance_discovery(request: Request) -> Response:
    host = LOGIN.removeprefix("https://")
    return plain(
        {
            "tenant_discovery_endpoint": f"{LOGIN}/organizations/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
    )


def keys(request: Request) -> Response:
    return plain({"keys": [credentials.public_key()]})


def issue(world: World, request: Request, segment: str) -> Response:
    """`POST /{tenant}/oauth2/v2.0/token`."""
    form = request.form
    call = Call("", "token", "POST", request.path, request.started_at)
    with world.lock:
        world.calls.append(call)
        person = _asked_for(world, form)
        call.account = person.id if person else ""
        fault = world.next_fault(person.id, "token") if person else None
    call.fault = fault.kind if fault else ""
    response = fault.before() if fault else None
    if response is None:
        done = _answered(world, form, segment)
        response = fault.answer(done) if fault else done
    call.status, call.ended_at = response.status, time.time()
    return response


def _asked_for(world: World, form: dict[str, str]) -> Account | None:
    code, refresh = world.codes.get(form.get("code", "")), world.refresh_tokens.get(form.get("refresh_token", ""))
    identity = code["account"] if code else refresh.account if refresh else ""
    return world.accounts.get(identity)


def _answered(world: World, form: dict[str, str], segment: str) -> Response:
    with world.lock:
        try:
            credentials.check(world.app, form, f"{LOGIN}/{segment}/oauth2/v2.0/token")
            return plain(_tokens(world, _granted(world, form, segment), form))
        except TokenRefused as refusal:
            return refused(refusal.code)


def _granted(world: World, form: dict[str, str], segment: str) -> _Granted:
    if form.get("grant_type") == "authorization_code":
        return _redeem(world, form, segment)
    if form.get("grant_type") == "refresh_token":
        return _refresh(world, form)
    raise TokenRefused(900144)


def _redeem(world: World, form: dict[str, str], segment: str) -> _Granted:
    kept = world.codes.get(form.get("code", ""))
    if kept is None:
        raise TokenRefused(9002313)
    if kept["redeemed"]:
        raise TokenRefused(54005)
    if kept["segment"] != segment:
        raise TokenRefused(700005)
    if time.time() > kept["at"] + CODE_SECONDS:
        raise TokenRefused(70008)
    if kept["redirect_uri"] != form.get("redirect_uri"):
        raise TokenRefused(70000)
    if kept["challenge"] != _challenge(form.get("code_verifier", ""), kept["challenge_method"]):
        raise TokenRefused(501481)
    kept["redeemed"] = True
    person = _usable(world, kept["account"])
    return _Granted(person, granted_scopes(world, person, kept["scopes"]), kept["nonce"])


def _challenge(verifier: str, method: str) -> str:
    if method != "S256":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _refresh(world: World, form: dict[str, str]) -> _Granted:
    grant = world.refresh_tokens.get(form.get("refresh_token", ""))
    if grant is None:
        raise TokenRefused(9002313)
    person = _usable(world, grant.account)
    if grant.issued_at < person.signed_out_at:
        raise TokenRefused(50173)
    asked = scopes_of(form["scope"]) if form.get("scope") else grant.scopes
    granted = granted_scopes(world, person, asked)
    if not granted or (person.only_scopes is None and not set(asked) <= set(granted) | OPENID_SCOPES):
        raise TokenRefused(65001)
    return _Granted(person, granted)


def _usable(world: World, identity: str) -> Account:
    person = world.accounts.get(identity)
    if person is None:
        raise TokenRefused(50034)
    if person.refused_with:
        raise TokenRefused(person.refused_with)
    return person


def scopes_of(text: str) -> list[str]:
    """Bare names. Raises `TokenRefused` for one that does not exist."""
    names = [name.removeprefix(GRAPH) for name in text.split()]
    if not set(names) <= OPENID_SCOPES | GRAPH_SCOPES | {".default"}:
        raise TokenRefused(70011)
    return names


def granted_scopes(world: World, person: Account, asked: list[str]) -> list[str]:
    """Of what was asked for, what the person or an administrator has granted."""
    if person.only_scopes is not None:
        return [name for name in asked if name in person.only_scopes or name in OPENID_SCOPES]
    tenant = world.tenants[person.tenant]
    return [name for name in asked if name in OPENID_SCOPES or name in person.consented or name in tenant.approved]


def _tokens(world: World, granted: _Granted, form: dict[str, str]) -> dict[str, Any]:
    person, scopes = granted.person, granted.scopes
    seconds = int(world.knob(person.id, "token_seconds")) or 3600 + secrets.randbelow(1800)
    graph = [name for name in scopes if name in GRAPH_SCOPES]
    content: dict[str, Any] = {
        "token_type": "Bearer",
        "scope": " ".join([*graph, *(name for name in ("profile", "openid", "email") if name in scopes)]),
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": world.issue_access(person, graph, seconds),
    }
    if "offline_access" in scopes or form.get("grant_type") == "refresh_token":
        content["refresh_token"] = world.issue_refresh(person, sorted({*scopes, "offline_access"}))
    if "openid" in scopes:
        content["id_token"] = credentials.signed(_claims(world, granted))
    if form.get("client_info") == "1":
        content["client_info"] = _base64({"uid": person.id, "utid": person.home_tenant or person.tenant})
    return content


def _claims(world: World, granted: _Granted) -> dict[str, Any]:
    person, now = granted.person, int(time.time())
    pairwise = hashlib.sha256(f"{person.id}{world.app.client_id}".encode()).digest()
    claims: dict[str, Any] = {
        "ver": "2.0",
        "iss": f"{LOGIN}/{person.tenant}/v2.0",
        "aud": world.app.client_id,
        "iat": now,
        "nbf": now,
        "exp": now + ID_TOKEN_SECONDS,
        "sub": base64.urlsafe_b64encode(pairwise).decode().rstrip("="),
        "tid": person.tenant,
        "uti": secrets.token_urlsafe(16),
        "rh": f"0.{secrets.token_urlsafe(12)}",
    }
    if granted.nonce:
        claims["nonce"] = granted.nonce
    if "profile" in granted.scopes:
        claims |= {"name": person.name, "oid": person.id, "preferred_username": person.user_principal_name}
    if "email" in granted.scopes:
        claims["email"] = person.address
    if person.is_guest:
        claims |= {"acct": 1, "idp": f"https://sts.windows.net/{person.home_tenant}/"}
    return {name: value for name, value in (claims | person.claims).items() if value is not None}


def refused(code: int) -> Response:
    """The error as the token endpoint writes it: 401 for a wrong client alone."""
    error, suberror, text = PROBLEMS[code]
    stamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    content: dict[str, Any] = {
        "error": error,
        "error_description": f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{LOGIN}/error?code={code}",
    }
    if suberror:
        content["suberror"] = suberror
    if suberror == "basic_action":
        content["claims"] = _CLAIMS
    status = {"invalid_client": 401, "temporarily_unavailable": 503}.get(error, 400)
    return plain(content, status)


def sign_in(world: World, person: Account, scopes: list[str]) -> tuple[str, str]:
    """An access and a refresh token without a walk through the pages: consent is given on the way."""
    person.consented = sorted({*person.consented, *scopes} - OPENID_SCOPES)
    world.save_account(person)
    seconds = int(world.knob(person.id, "token_seconds")) or ID_TOKEN_SECONDS
    graph = [name for name in scopes if name in GRAPH_SCOPES]
    return world.issue_access(person, graph, seconds), world.issue_refresh(person, [*scopes, "offline_access"])


def _base64(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
