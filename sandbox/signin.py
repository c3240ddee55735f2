"""Microsoft's pages: pick an account, consent, need an administrator, approve for everybody."""

import secrets
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from sandbox import paper, tokens
from sandbox.credentials import TokenRefused
from sandbox.directory import MANAGED_ALLOWS, PERSONAL_TENANT, Account
from sandbox.paper import text
from sandbox.tokens import OPENID_SCOPES
from sandbox.wire import Request, Response
from sandbox.world import World

# As Microsoft's own pages do: they cut a popup from the page that opened it.
_CUT = {"Cross-Origin-Opener-Policy": "same-origin"}
_WORDS = {
    "Mail.ReadWrite": ("Read and write access to your mail", "Read, update, create and delete email in your mailbox."),
    "Mail.Send": ("Send mail as you", "Send mail as you, from your mailbox."),
    "MailboxSettings.Read": ("Read your mailbox settings", "Read your time zone, hours and automatic replies."),
    "User.Read": ("View your basic profile", "See your name, address and photo."),
    "offline_access": ("Maintain access to data you have given it access to", "Also while you are not using the app."),
}
_STOPPED = {
    50011: "The redirect URI specified in the request does not match the redirect URIs configured for the application.",
    50020: "User account from another identity provider does not exist in tenant and cannot access the application.",
    50057: "The user account is disabled.",
    50105: "Your administrator has configured the application to block users unless they are specifically granted "
    "(‘assigned’) access to it.",
    50194: "The application is not configured as a multi-tenant application.",
    53003: "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
    500208: "The domain is not a valid login domain for the account type.",
    700016: "The application was not found in the directory.",
    900144: "The request must contain the missing parameter.",
}


@dataclass(frozen=True)
class Asking:
    """An authorize request, carried through the pages in a hidden field."""

    segment: str
    query: str

    @property
    def fields(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")


# --- Authorize ------------------------------------------------------------------------------------------------------
def authorize(world: World, request: Request, segment: str) -> Response:
    """`GET /{tenant}/oauth2/v2.0/authorize`."""
    asking = Asking(segment, request.target.partition("?")[2])
    with world.lock:
        if code := _wrong_with(world, asking):
            return _stopped(code)
        try:
            tokens.scopes_of(asking["scope"])
        except TokenRefused:
            return _back(asking, error="invalid_scope", error_description="AADSTS70011: The scope is not valid.")
        if asking["response_type"] != "code":
            return _back(asking, error="unsupported_response_type", error_description="AADSTS700051: Ask for a code.")
        if asking["prompt"] == "none":
            return _back(asking, error="login_required", error_description="AADSTS50058: Nobody is signed in.")
        return _picker(_everybody(world, asking["login_hint"]), asking, "Pick an account")


def _wrong_with(world: World, asking: Asking) -> int:
    """Faults of the app, which Microsoft tells on its own page and to nobody else."""
    if asking["client_id"] != world.app.client_id:
        return 700016
    if not is_registered(world, asking["redirect_uri"]):
        return 50011
    if not asking["scope"]:
        return 900144
    return 50194 if world.app.single_tenant and asking.segment in ("organizations", "common") else 0


def is_registered(world: World, address: str) -> bool:
    """Without registered addresses any on this machine counts. A port does not matter for localhost."""
    registered = world.app.redirect_uris
    parts = urlsplit(address)
    is_local = parts.hostname in ("localhost", "127.0.0.1")
    if not registered:
        return is_local and bool(parts.path)
    return any(_same_address(known, address, is_local=is_local) for known in registered)


def _same_address(known: str, address: str, *, is_local: bool) -> bool:
    one, other = urlsplit(known), urlsplit(address)
    if is_local:
        return (one.scheme, one.hostname, one.path) == (other.scheme, other.hostname, other.path)
    return known == address


def decide(world: World, request: Request, segment: str) -> Response:
    """`POST /{tenant}/oauth2/v2.0/authorize`: what a person pressed on one of the pages."""
    form = request.form
    asking = Asking(segment, form.get("request", ""))
    with world.lock:
        if code := _wrong_with(world, asking):
            return _stopped(code)
        if form.get("another"):
            return _picker(_everybody(world, ""), asking, "Pick an account")
        person = world.accounts.get(form.get("account", ""))
        if form.get("decision") == "cancel" or person is None:
            return _back(asking, error="access_denied", error_subcode="cancel")
        if code := _stop_for(world, person, segment):
            return _stopped(code, person)
        missing = _not_granted(world, person, tokens.scopes_of(asking["scope"]))
        if not missing and asking["prompt"] != "consent":
            return _signed_in(world, person, asking)
        return _about_consent(world, person, asking, missing, form)


def _stop_for(world: World, person: Account, segment: str) -> int:
    if person.stopped_with:
        return person.stopped_with
    if segment == "organizations" and person.is_personal:
        return 0 if world.knobs["personal_accounts_pass"] else 500208
    if segment == "consumers":
        return 0 if person.is_personal else 500208
    return 50020 if segment not in ("organizations", "common", person.tenant) else 0


def _not_granted(world: World, person: Account, asked: list[str]) -> list[str]:
    granted = tokens.granted_scopes(world, person, asked)
    return [name for name in asked if name not in granted and name not in OPENID_SCOPES]


def _about_consent(world: World, person: Account, asking: Asking, missing: list[str], form: dict[str, str]) -> Response:
    tenant = world.tenants[person.tenant]
    allowed = {"open": None, "microsoft_managed": MANAGED_ALLOWS, "off": set()}[tenant.consent]
    may_consent = allowed is None or person.is_admin or person.is_personal or set(missing) <= allowed
    if person.only_scopes is not None:  # whatever is accepted, only these are granted
        may_consent, missing = True, list(_WORDS)
    if not may_consent:
        return _needs_admin(world, person, asking, form)
    if form.get("decision") != "accept":
        return _consent_page(person, asking, missing)
    person.consented = sorted({*person.consented, *missing})
    if form.get("for_all") and person.is_admin:
        world.approve(tenant, missing)
    world.save_account(person)
    return _signed_in(world, person, asking)


def _signed_in(world: World, person: Account, asking: Asking) -> Response:
    code = f"1.A{secrets.token_urlsafe(48)}"
    world.codes[code] = {
        "account": person.id,
        "segment": asking.segment,
        "redirect_uri": asking["redirect_uri"],
        "scopes": tokens.scopes_of(asking["scope"]),
        "nonce": asking["nonce"],
        "challenge": asking["code_challenge"],
        "challenge_method": asking["code_challenge_method"] or "plain",
        "at": time.time(),
        "redeemed": False,
    }
    return _back(asking, code=code, session_state=str(uuid.uuid4()))


def _back(asking: Asking, **answer: str) -> Response:
    """To the app, with `state`, in the way that it asked for."""
    address = asking["redirect_uri"]
    if "state" in asking.fields:
        answer["state"] = asking["state"]
    if asking["response_mode"] == "form_post":
        form = f'<form method="post" action="{text(address)}">{paper.hidden(answer)}<button>Continue</button></form>'
        return _card("Continue", form)
    mark = "#" if asking["response_mode"] == "fragment" else "&" if "?" in address else "?"
    return paper.redirect(f"{address}{mark}{urlencode(answer)}", _CUT)


# --- The pages ------------------------------------------------------------------------------------------------------
def _card(title: str, content: str, status: int = 200) -> Response:
    brand = '<p class="brand"><span aria-hidden="true"></span>Sandbox 365</p>'
    foot = '<p class="foot">A stand-in for Microsoft’s sign-in. No password, no real account.</p>'
    body = f'<main class="card">{brand}<h1>{text(title)}</h1>{content}</main>{foot}'
    return paper.page(title, body, status=status, kind="sign-in", headers=_CUT)


def _everybody(world: World, hint: str) -> list[Account]:
    """The hinted account first, then the others in their order; of a crowd, those who come first."""
    people = list(world.accounts.values())[:40]
    hinted = world.account_at(hint)
    return [hinted, *(person for person in people if person is not hinted)] if hinted else people


def _form(asking: Asking, content: str, **fields: str) -> str:
    action = f"/{asking.segment}/oauth2/v2.0/authorize"
    return f'<form method="post" action="{action}">{paper.hidden({"request": asking.query, **fields})}{content}</form>'


def _picker(people: Iterable[Account], asking: Asking, title: str) -> Response:
    tiles = "".join(_tile(person) for person in people)
    cancel = '<p class="actions"><button class="quiet" name="decision" value="cancel">Cancel</button></p>'
    return _card(title, f"<p>to continue to Metaview Outreach</p>{_form(asking, tiles + cancel)}")


def _tile(person: Account) -> str:
    initials = "".join(word[0] for word in person.name.split()[:2])
    return (
        f'<button class="tile" name="account" value="{text(person.id)}"><span class="face" aria-hidden="true">'
        f"{text(initials)}</span><span><b>{text(person.name)}</b> <small>{text(person.address)}</small></span></button>"
    )


def _consent_page(person: Account, asking: Asking, scopes: list[str]) -> Response:
    for_all = '<label class="check"><input type="checkbox" name="for_all" value="yes"> Consent on behalf of your '
    content = (
        f"<p>{text(person.address)}</p><p><b>Metaview Outreach</b><br><small>unverified</small></p>"
        f"<p>This app would like to:</p>{_scope_list(scopes)}"
        + (f"{for_all}organization</label>" if person.is_admin else "")
        + "<p><small>Accepting these permissions means that you allow this app to use your data as specified in its "
        "terms of service and privacy statement.</small></p>" + _decisions(("cancel", "Cancel"), ("accept", "Accept"))
    )
    return _card("Permissions requested", _form(asking, content, account=person.id))


def _scope_list(scopes: Iterable[str]) -> str:
    items = [_WORDS[name] for name in [*scopes, "offline_access"] if name in _WORDS]
    lines = (f"<li><details><summary>{text(short)}</summary>{text(long)}</details></li>" for short, long in items)
    return f'<ul class="scopes">{"".join(dict.fromkeys(lines))}</ul>'


def _decisions(*choices: tuple[str, str]) -> str:
    """Buttons; the last one is what most people want."""
    buttons = (f'<button class="choice" name="decision" value="{value}">{label}</button>' for value, label in choices)
    return f'<p class="actions">{"".join(buttons)}</p>'


def _needs_admin(world: World, person: Account, asking: Asking, form: dict[str, str]) -> Response:
    """AADSTS90094, or with the request workflow a form (90095). Returning looks like a cancel."""
    other = _form(asking, '<button class="link">Have an admin account? Sign in with that account</button>', another="1")
    back = _form(
        asking,
        '<button class="link" name="decision" value="cancel">'
        "Return to the application without granting consent</button>",
    )
    if not world.tenants[person.tenant].has_request_workflow:
        told = (
            f"<p>{text(person.address)}</p><p><b>Metaview Outreach</b> needs permission to access resources in your "
            "organization that only an admin can grant. Please ask an admin to grant permission to this app before "
            f"you can use it.</p>{other}{back}<p><small>AADSTS90094</small></p>"
        )
        return _card("Need admin approval", told)
    if form.get("decision") == "request":
        identity = str(uuid.uuid4())
        wish = {"id": identity, "account": person.id, "why": form.get("why", ""), "at": time.time()}
        world.approval_requests[identity] = wish
        world.store.put("approval", identity, wish)
        sent = "<p>Your request has been sent to your administrators. You will be notified by email.</p>"
        return _card("Request sent", f"{sent}{back}<p><small>AADSTS90095</small></p>")
    wish_form = (
        f"<p>{text(person.address)}</p><p><b>Metaview Outreach</b> requires your admin’s approval.</p>"
        '<p><label for="why">Enter justification for requesting this app</label>'
        '<textarea id="why" name="why" rows="3"></textarea></p>'
        + _decisions(("cancel", "Cancel"), ("request", "Request approval"))
    )
    return _card("Approval required", _form(asking, wish_form, account=person.id) + other)


def _stopped(code: int, person: Account | None = None) -> Response:
    """Microsoft keeps these to itself: there is no way back to the app."""
    why = _STOPPED.get(code, "The sign-in was stopped.")
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    who = f"<p>{text(person.address)}</p>" if person else ""
    details = (
        f"Request Id: {uuid.uuid4()}<br>Correlation Id: {uuid.uuid4()}<br>Timestamp: {stamp}<br>"
        f"Message: AADSTS{code}: {text(why)}"
    )
    told = f"{who}<p>Sorry, but we’re having trouble with signing you in.</p><p>AADSTS{code}: {text(why)}</p>"
    return _card("Sign in", f"{told}<details><summary>Troubleshooting details</summary><p>{details}</p></details>")


# --- Approval for everybody -----------------------------------------------------------------------------------------
def admin_consent(world: World, request: Request, segment: str) -> Response:
    """`GET /{tenant}/v2.0/adminconsent`: an administrator picks the own account first."""
    query = request.query
    with world.lock:
        if query.get("client_id") != world.app.client_id:
            return _stopped(700016)
        if not is_registered(world, query.get("redirect_uri", "")):
            return _stopped(50011)
        people = [person for person in _everybody(world, "") if person.tenant != PERSONAL_TENANT]
        tiles = "".join(_tile(person) for person in people)
        action = f"/{segment}/v2.0/adminconsent"
        fields = paper.hidden({"request": request.target.partition("?")[2]})
        return _card("Pick an account", f'<form method="post" action="{action}">{fields}{tiles}</form>')


def decide_admin_consent(world: World, request: Request, segment: str) -> Response:
    form = request.form
    asking = Asking(segment, form.get("request", ""))
    with world.lock:
        if not is_registered(world, asking["redirect_uri"]):
            return _stopped(50011)
        person = world.accounts.get(form.get("account", ""))
        if person is None:
            return _stopped(900144)
        if segment not in ("organizations", person.tenant):
            return _stopped(50020, person)
        if not person.is_admin:
            told = "<p>You do not have the role that is needed to approve this app for your organization.</p>"
            return _card("Need admin approval", f"<p>{text(person.address)}</p>{told}<p><small>AADSTS90094</small></p>")
        return _approved(world, person, asking, form.get("decision", ""))


def _approved(world: World, person: Account, asking: Asking, decision: str) -> Response:
    tenant = world.tenants[person.tenant]
    scopes = [name for name in tokens.scopes_of(asking["scope"]) if name not in OPENID_SCOPES]
    back = {"admin_consent": "True", **({"state": asking["state"]} if asking["state"] else {})}
    if decision == "cancel":
        told = "AADSTS65004: User declined to consent to access the app."
        return _to_app(asking, back | {"error": "consent_required", "error_description": told})
    if decision == "accept":
        world.approve(tenant, tokens.GRAPH_SCOPES if ".default" in scopes else scopes)
        return _to_app(asking, back | {"tenant": tenant.id, "scope": asking["scope"]})
    content = (
        f"<p>{text(person.address)}</p><p><b>Metaview Outreach</b><br><small>unverified</small></p>"
        f"<p>This app would like to:</p>{_scope_list(scopes)}"
        f"<p><small>If you accept, this app will get access to the specified resources for all users in {tenant.name}."
        " No one else will be prompted to review these permissions.</small></p>"
        + _decisions(("cancel", "Cancel"), ("accept", "Accept"))
    )
    fields = paper.hidden({"request": asking.query, "account": person.id})
    action = f"/{asking.segment}/v2.0/adminconsent"
    form = f'<form method="post" action="{action}">{fields}{content}</form>'
    return _card("Permissions requested: review for your organization", form)


def _to_app(asking: Asking, answer: dict[str, str]) -> Response:
    return paper.redirect(f"{asking['redirect_uri']}?{urlencode(answer)}", _CUT)


def signed_out(world: World, request: Request, segment: str) -> Response:
    return _card("You signed out of your account", "<p>It is a good idea to close all browser windows.</p>")
