"""The control interface: JSON for tests, benches and demos, to set up what happens and to see what did."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox import incoming, shapes, tokens
from sandbox.answers import plain
from sandbox.directory import CONSENT_MODES, DEMO_TENANT, Account, Tenant
from sandbox.faults import CALLS, KINDS
from sandbox.mailbox import Mailbox, Message
from sandbox.post import Post
from sandbox.routing import Routes
from sandbox.wire import Request, Response
from sandbox.world import KNOBS, World

ALL_SCOPES = ["Mail.ReadWrite", "Mail.Send", "MailboxSettings.Read", "User.Read", "openid", "profile", "email"]
_ACCOUNT_FIELDS = {
    "name",
    "address",
    "aliases",
    "is_admin",
    "is_guest",
    "home_tenant",
    "claims",
    "stopped_with",
    "refused_with",
    "consented",
    "only_scopes",
}


class Wrong(Exception):
    """The request makes no sense; the text says why."""


@dataclass
class Ask:
    request: Request
    world: World
    post: Post
    found: list[str]

    @property
    def content(self) -> dict[str, Any]:
        try:
            content = json.loads(self.request.body or b"{}")
        except ValueError as error:
            raise Wrong("The body is no JSON.") from error
        if not isinstance(content, dict):
            raise Wrong("The body is no JSON object.")
        return content

    @property
    def person(self) -> Account:
        person = self.world.account_at(self.found[0])
        if person is None:
            raise Wrong(f"Nobody here has the address {self.found[0]}.")
        return person

    @property
    def mailbox(self) -> Mailbox:
        mailbox = self.world.mailboxes.get(self.person.id)
        if mailbox is None:
            raise Wrong(f"{self.found[0]} has no mailbox.")
        return mailbox

    @property
    def tenant(self) -> Tenant:
        for tenant in self.world.tenants.values():
            if self.found[0] in (tenant.id, tenant.domain):
                return tenant
        raise Wrong(f"There is no tenant {self.found[0]}.")


_routes = Routes()
_Answer = Callable[[Ask], Any]


def _on(method: str, path: str) -> Callable[[_Answer], _Answer]:
    return _routes.add(method, path)


def control(world: World, post: Post, request: Request) -> Response:
    """Answers below /control/."""
    found = _routes.find(request.method, request.segments[1:])
    if found is None:
        return plain({"wrong": "There is no such address."}, 404)
    answer, values = found
    with world.lock:
        try:
            content = answer(Ask(request, world, post, values))
        except Wrong as wrong:
            return plain({"wrong": str(wrong)}, 400)
        except (TypeError, ValueError, KeyError) as error:
            return plain({"wrong": f"{type(error).__name__}: {error}"}, 400)
    return plain({} if content is None else content)


@_on("GET", "health")
def _health(ask: Ask) -> Any:
    return {"well": True, "accounts": len(ask.world.accounts)}


@_on("POST", "reset")
def _reset(ask: Ask) -> None:
    ask.world.reset()
    ask.post.resume()


# --- People and tenants ---------------------------------------------------------------------------------------------
@_on("GET", "accounts")
def _accounts(ask: Ask) -> Any:
    return [_shown_account(person) for person in ask.world.accounts.values()]


def _shown_account(person: Account) -> dict[str, Any]:
    return {name: value for name, value in vars(person).items() if name != "settings"}


@_on("POST", "accounts/crowd")
def _crowd(ask: Ask) -> Any:
    """Many members at once, with tokens: for load tests."""
    content = ask.content
    tenant, prefix = content.get("tenant", DEMO_TENANT), content.get("prefix", "sender")
    crowd = ask.world.add_crowd(content["number"], tenant, prefix=prefix)
    with ask.world.store.together():
        return [_signed_in(ask, person, ALL_SCOPES) for person in crowd]


@_on("POST", "mailbox/{}/account")
def _change_account(ask: Ask) -> Any:
    unknown = ask.content.keys() - _ACCOUNT_FIELDS
    if unknown:
        raise Wrong(f"Unknown: {', '.join(sorted(unknown))}")
    vars(ask.person).update(ask.content)
    ask.world.add_account(ask.person)
    return _shown_account(ask.person)


@_on("POST", "tenants/{}")
def _change_tenant(ask: Ask) -> Any:
    content = ask.content
    if content.get("consent", "open") not in CONSENT_MODES or content.keys() - vars(ask.tenant).keys():
        raise Wrong(f"A tenant has consent ({', '.join(CONSENT_MODES)}), has_request_workflow and approved.")
    vars(ask.tenant).update(content)
    ask.world.save_tenant(ask.tenant)
    return vars(ask.tenant)


@_on("POST", "app")
def _change_app(ask: Ask) -> Any:
    if ask.content.keys() - vars(ask.world.app).keys():
        raise Wrong(f"An app has {', '.join(vars(ask.world.app))}.")
    vars(ask.world.app).update(ask.content)
    ask.world.save_app()
    return vars(ask.world.app)


@_on("GET", "approvals")
def _approvals(ask: Ask) -> Any:
    wishes = ask.world.approval_requests.values()
    return [wish | {"address": ask.world.accounts[wish["account"]].address} for wish in wishes]


@_on("POST", "tenants/{}/approve")
def _approve(ask: Ask) -> None:
    ask.world.approve(ask.tenant, tokens.GRAPH_SCOPES)


# --- Tokens ---------------------------------------------------------------------------------------------------------
@_on("POST", "mailbox/{}/tokens")
def _tokens(ask: Ask) -> Any:
    return _signed_in(ask, ask.person, ask.content.get("scopes", ALL_SCOPES))


def _signed_in(ask: Ask, person: Account, scopes: list[str]) -> dict[str, Any]:
    access, refresh = tokens.sign_in(ask.world, person, scopes)
    return {
        "address": person.address,
        "tenant_id": person.tenant,
        "object_id": person.id,
        "access_token": access,
        "refresh_token": refresh,
        "expires_in": int(ask.world.access_tokens[access].expires_at - time.time()) + 1,
    }


@_on("POST", "mailbox/{}/revoke")
def _revoke(ask: Ask) -> None:
    """Refresh tokens no longer count, and unless told otherwise access tokens neither."""
    if code := ask.content.get("code"):
        ask.person.refused_with = code
    ask.world.sign_out(ask.person, access=ask.content.get("access", True))


# --- A mailbox ------------------------------------------------------------------------------------------------------
@_on("GET", "mailbox/{}/messages")
def _messages(ask: Ask) -> Any:
    folder = ask.request.query.get("folder", "")
    key = ask.request.query.get("key", "")
    found = [
        message
        for message in ask.mailbox.messages.values()
        if folder in ("", message.folder) and key in ("", message.key)
    ]
    found.sort(key=lambda message: (message.placed_at, message.serial))
    return [shown(message) for message in found]


def shown(message: Message) -> dict[str, Any]:
    """A message in a flat form, for assertions."""
    content = dict(vars(message))
    content["from"] = content.pop("sender").get("address", "")
    for name in ("to", "cc", "bcc", "reply_to"):
        content[name] = [recipient["address"] for recipient in content[name]]
    content["text"] = shapes.text_of(message.body)
    content["key"] = message.key
    for name in ("created_at", "sent_at", "received_at", "modified_at", "placed_at"):
        content[name] = shapes.moment(content[name])
    return content


@_on("POST", "mailbox/{}/messages")
def _put_message(ask: Ask) -> Any:
    """Any message into any folder, as if it had always been there."""
    content = {"folder": "inbox", "subject": "", "body": ""} | ask.content
    for name in ("to", "cc"):
        content[name] = [{"name": address, "address": address} for address in content.get(name, [])]
    author = content.pop("from", ask.person.address)
    content["sender"] = {"name": content.pop("from_name", author), "address": author}
    content["body"] = shapes.normal_html(content["body"])
    return shown(ask.mailbox.add(time.time(), **content))


@_on("DELETE", "mailbox/{}/messages/{}")
def _delete_message(ask: Ask) -> None:
    """For good, as a person does with shift and delete."""
    message = ask.mailbox.find(ask.found[1])
    if message:
        ask.mailbox.delete(message)


@_on("POST", "mailbox/{}/incoming")
def _incoming(ask: Ask) -> Any:
    content = ask.content
    kind = content.pop("kind", "human")
    if kind not in incoming.KINDS:
        raise Wrong(f"Answers are {', '.join(incoming.KINDS)}.")
    original = _original(ask, content)
    return shown(incoming.KINDS[kind](ask.mailbox, incoming.Coming(original=original, **content), time.time()))


def _original(ask: Ask, content: dict[str, Any]) -> Message:
    """The newest sent message, or the one with this key, to this address or with this id."""
    wanted = {name: content.pop(name) for name in ("key", "to", "id") if name in content}
    sent = sorted(ask.mailbox.in_folder("sentitems"), key=lambda message: (message.sent_at, message.serial))
    for message in reversed(sent):
        addresses = {recipient["address"] for recipient in message.to}
        if (
            wanted.get("key", message.key) == message.key
            and wanted.get("id", message.id) == message.id
            and ("to" not in wanted or wanted["to"] in addresses)
        ):
            return message
    raise Wrong("No such message was sent from this mailbox.")


@_on("GET", "mailbox/{}/settings")
def _read_settings(ask: Ask) -> Any:
    return ask.person.settings


@_on("POST", "mailbox/{}/settings")
def _change_settings(ask: Ask) -> Any:
    """Mailbox settings as Graph shows them; what is given replaces what was, one level down."""
    for name, value in ask.content.items():
        old = ask.person.settings.get(name)
        ask.person.settings[name] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    ask.world.save_account(ask.person)
    return ask.person.settings


@_on("POST", "mailbox/{}/forget-delta")
def _forget_delta(ask: Ask) -> None:
    """Links of delta from before are answered 410."""
    ask.mailbox.generation += 1


# --- Post, knobs and faults -----------------------------------------------------------------------------------------
@_on("POST", "settle")
def _settle_all(ask: Ask) -> Any:
    return {"settled": ask.post.settle_now()}


@_on("POST", "mailbox/{}/settle")
def _settle(ask: Ask) -> Any:
    return {"settled": ask.post.settle_now(ask.person.id)}


@_on("POST", "knobs")
def _turn_all(ask: Ask) -> Any:
    ask.world.turn(_known_knobs(ask.content))
    return ask.world.knobs


@_on("POST", "mailbox/{}/knobs")
def _turn(ask: Ask) -> Any:
    ask.world.turn(_known_knobs(ask.content), ask.person)
    return ask.person.knobs


def _known_knobs(changes: dict[str, Any]) -> dict[str, Any]:
    if changes.keys() - KNOBS.keys():
        raise Wrong(f"There are these knobs: {', '.join(KNOBS)}.")
    return changes


@_on("GET", "faults")
def _faults(ask: Ask) -> Any:
    return [vars(fault) for fault in ask.world.all_faults()]


@_on("POST", "mailbox/{}/faults")
def _add_fault(ask: Ask) -> Any:
    content = ask.content
    if content.get("call") not in CALLS or content.get("kind") not in KINDS:
        raise Wrong(f"A fault has a call ({', '.join(CALLS)}) and a kind ({', '.join(KINDS)}).")
    return vars(ask.world.add_fault(account=ask.person.id, **content))


@_on("DELETE", "faults")
def _clear_faults(ask: Ask) -> None:
    ask.world.drop_faults()


@_on("DELETE", "mailbox/{}/faults")
def _clear_own_faults(ask: Ask) -> None:
    ask.world.drop_faults(ask.person.id)


# --- What happened --------------------------------------------------------------------------------------------------
@_on("GET", "mailbox/{}/calls")
def _calls(ask: Ask) -> Any:
    since = float(ask.request.query.get("since", 0))
    wanted = ask.request.query.get("call", "")
    return [
        vars(call)
        for call in ask.world.calls
        if call.account == ask.person.id and call.started_at >= since and wanted in ("", call.call)
    ]


@_on("GET", "mailbox/{}/submits")
def _submits(ask: Ask) -> Any:
    return ask.mailbox.submits_by_key()


@_on("GET", "submits")
def _all_submits(ask: Ask) -> Any:
    """How often each key was accepted for sending, over all mailboxes."""
    total: Counter[str] = Counter()
    for mailbox in ask.world.mailboxes.values():
        total.update(mailbox.submits_by_key())
    return dict(total)


@_on("GET", "totals")
def _totals(ask: Ask) -> Any:
    """How many messages lie in each folder, over all mailboxes."""
    total: Counter[str] = Counter()
    for mailbox in ask.world.mailboxes.values():
        total.update(message.folder for message in mailbox.messages.values())
    return dict(total)
