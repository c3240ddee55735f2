"""The first page: who is there, and how the tenant is set up."""

from sandbox import paper, tokens
from sandbox.directory import Account, Tenant
from sandbox.pages.frame import Ask, Missing, address_of, button, face, field, on, sheet
from sandbox.paper import text
from sandbox.wire import Response

SHOWN = 60
_CONSENT = (
    ("open", "People may consent by themselves"),
    ("microsoft_managed", "As Microsoft manages it: mail needs an administrator"),
    ("off", "Only administrators may consent"),
)
_STOPS = {50057: "disabled", 50105: "not assigned", 53003: "blocked by policy"}


@on("GET", "home")
def home(ask: Ask) -> Response:
    tenants = "".join(_tenant(ask, tenant) for tenant in ask.world.tenants.values())
    reset = button("/reset", "Begin anew", "quiet danger")
    content = f'<div class="head"><h1>Mailboxes</h1>{reset}</div>{tenants}{_app(ask)}'
    return sheet("Mailboxes", content)


def _tenant(ask: Ask, tenant: Tenant) -> str:
    people = [person for person in ask.world.accounts.values() if person.tenant == tenant.id]
    rows = "".join(_row(ask, person) for person in people[:SHOWN])
    more = f'<li class="more">and {len(people) - SHOWN} more</li>' if len(people) > SHOWN else ""
    setup = "" if tenant.domain == "personal.example" else _setup(ask, tenant)
    return (
        f'<section class="card"><h2>{text(tenant.name)} <small>{text(tenant.domain)}</small></h2>{setup}'
        f'<ul class="people">{rows}{more}</ul></section>'
    )


def _row(ask: Ask, person: Account) -> str:
    mailbox = ask.world.mailboxes.get(person.id)
    who = f"{face(person.name)}<span class=who><b>{text(person.name)}</b><small>{text(person.address)}</small></span>"
    badges = "".join(f'<span class="badge">{text(badge)}</span>' for badge in _badges(ask, person))
    if mailbox is None:
        return f'<li><div class="person">{who}<span class="facts">{badges}</span></div></li>'
    unread = sum(not message.is_read for message in mailbox.in_folder("inbox"))
    counts = f'<span class="count">{len(list(mailbox.in_folder("sentitems")))} sent</span>'
    if unread:
        counts = f'<span class="badge new">{unread} new</span>{counts}'
    inside = f'{who}<span class="facts">{badges}{counts}</span>'
    return f'<li><a class="person" href="{address_of(person, "inbox")}">{inside}</a></li>'


def _badges(ask: Ask, person: Account) -> list[str]:
    signs = {
        "administrator": person.is_admin,
        "guest": person.is_guest,
        "no mailbox": not person.has_mailbox and not person.is_guest,
        "away": person.settings["automaticRepliesSetting"]["status"] != "disabled",
        "faults": bool(ask.world.faults.get(person.id)),
        _STOPS.get(person.stopped_with, "stopped"): bool(person.stopped_with),
    }
    return [words for words, applies in signs.items() if applies]


def _setup(ask: Ask, tenant: Tenant) -> str:
    name = f"consent-{tenant.domain}"
    mode = f'<select id="{name}" name="consent">{paper.options(_CONSENT, tenant.consent)}</select>'
    checked = " checked" if tenant.has_request_workflow else ""
    workflow = (
        f'<label class="check"><input type="checkbox" name="workflow" value="yes"{checked}> '
        "People may ask an administrator for approval</label>"
    )
    form = (
        f'<form method="post" action="/tenants/{tenant.id}">{field("Consent", mode, name)}{workflow}'
        '<p class="actions"><button>Save</button></p></form>'
    )
    summary = {"open": "people may consent", "microsoft_managed": "managed by Microsoft", "off": "administrators only"}
    approved = ", approved for everybody" if tenant.approved else ""
    return (
        f"<details><summary>Consent: {summary[tenant.consent]}{approved}</summary>{form}"
        f"{_approval(tenant)}</details>{_wishes(ask, tenant)}"
    )


def _approval(tenant: Tenant) -> str:
    if tenant.approved:
        return button(f"/tenants/{tenant.id}/withdraw", "Withdraw the approval for everybody", "quiet")
    return button(f"/tenants/{tenant.id}/approve", "Approve the app for everybody", "quiet")


def _wishes(ask: Ask, tenant: Tenant) -> str:
    found = [
        (ask.world.accounts[wish["account"]], wish["why"])
        for wish in ask.world.approval_requests.values()
        if ask.world.accounts[wish["account"]].tenant == tenant.id
    ]
    if not found:
        return ""
    rows = "".join(
        f"<li><b>{text(person.name)}</b> asks for approval: {text(why or '–')}</li>" for person, why in found
    )
    approve = button(f"/tenants/{tenant.id}/approve", "Approve for everybody")
    return f'<div class="note"><ul>{rows}</ul>{approve}</div>'


def _app(ask: Ask) -> str:
    expired = ask.world.app.secret_expired
    state = "has expired (AADSTS7000222)" if expired else "is good"
    words = "Make the secret good again" if expired else "Let the secret expire"
    change = button("/app", words, "quiet", expired="" if expired else "yes")
    return (
        '<section class="card"><h2>App registration</h2>'
        f"<dl><dt>Client id</dt><dd><code>{text(ask.world.app.client_id)}</code></dd>"
        f"<dt>Client secret</dt><dd>It {state}.</dd></dl>{change}</section>"
    )


@on("POST", "reset")
def reset(ask: Ask) -> Response:
    ask.world.reset()
    ask.post.resume()
    return paper.redirect("/")


@on("POST", "app")
def change_app(ask: Ask) -> Response:
    ask.world.app.secret_expired = ask.request.form.get("expired") == "yes"
    ask.world.save_app()
    return paper.redirect("/")


@on("POST", "tenants/{}")
def change_tenant(ask: Ask) -> Response:
    tenant = _found(ask)
    chosen = ask.request.form["consent"]
    if chosen not in dict(_CONSENT):
        raise Missing
    tenant.consent = chosen
    tenant.has_request_workflow = ask.request.form.get("workflow") == "yes"
    ask.world.save_tenant(tenant)
    return paper.redirect("/")


@on("POST", "tenants/{}/approve")
def approve(ask: Ask) -> Response:
    ask.world.approve(_found(ask), tokens.GRAPH_SCOPES)
    return paper.redirect("/")


@on("POST", "tenants/{}/withdraw")
def withdraw(ask: Ask) -> Response:
    tenant = _found(ask)
    tenant.approved = []
    ask.world.save_tenant(tenant)
    return paper.redirect("/")


def _found(ask: Ask) -> Tenant:
    return ask.world.tenants[ask.found[0]]
