"""Microsoft Graph v1.0, as far as mail goes."""

import base64
import html
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from sandbox import incoming, odata, shapes
from sandbox.answers import Refused, answer, error
from sandbox.directory import Account
from sandbox.faults import Fault
from sandbox.mailbox import WELL_KNOWN, Mailbox, Message, Recipient, Removal
from sandbox.post import Post
from sandbox.routing import Routes
from sandbox.wire import LARGEST_BODY, Request, Response
from sandbox.world import Call, World

ROOT = "v1.0"
USUAL_PAGE = 10
LARGEST_PAGE = 1000
_KEYED = re.compile(r"/?\('?([^'()]*)'?\)")
_DRAFT_ONLY = {"body", "body_type", "subject", "reply_to", "internet_message_id", "to", "cc", "bcc", "importance"}


@dataclass
class Ask:
    """One call, with who asks."""

    request: Request
    world: World
    post: Post
    person: Account
    now: float
    found: list[str]
    touched: Message | None = None  # the message that the call was about

    @property
    def mailbox(self) -> Mailbox:
        mailbox = self.world.mailboxes.get(self.person.id)
        if mailbox is None:
            raise Refused(404, "MailboxNotEnabledForRESTAPI")
        return mailbox

    @property
    def settings(self) -> dict[str, Any]:
        return self.person.settings if self.mailbox else {}

    @property
    def content(self) -> dict[str, Any]:
        if not self.request.body:
            return {}
        try:
            content = json.loads(self.request.body)
        except ValueError as problem:
            raise Refused(400, "RequestBodyRead", "The body is no JSON.") from problem
        if not isinstance(content, dict):
            raise Refused(400, "RequestBodyRead", "The body is no JSON object.")
        return content

    @property
    def prefers(self) -> str:
        return self.request.headers.get("prefer", "")

    @property
    def is_immutable(self) -> bool:
        return 'IdType="ImmutableId"' in self.prefers

    def message(self, identity: str) -> Message:
        message = self.mailbox.find(identity)
        if message is None:
            raise Refused(404, "ErrorItemNotFound")
        self.touched = message
        return message

    def folder(self, name: str) -> str:
        folder = self.mailbox.folder_called(name)
        if folder is None:
            raise Refused(404, "ErrorItemNotFound")
        return folder

    @cached_property
    def view(self) -> dict[str, Any]:
        """What is shown of messages. Raises `Refused`."""
        return {
            "immutable": self.is_immutable,
            "select": shapes.selected(self.request.query.get("$select", "")),
            "expand": odata.property_ids(self.request.query.get("$expand", "")),
            "as_text": 'outlook.body-content-type="text"' in self.prefers,
        }

    def shown(self, message: Message) -> dict[str, Any]:
        self.touched = message
        return shapes.shown(self.mailbox, message, **self.view)


@dataclass(frozen=True, slots=True)
class _Route:
    call: str
    scope: str
    answer: Callable[[Ask], Response]


_routes = Routes()


def _on(method: str, path: str, call: str, scope: str) -> Callable[[Callable[[Ask], Response]], Any]:
    def keep(function: Callable[[Ask], Response]) -> Callable[[Ask], Response]:
        _routes.add(method, path)(_Route(call, scope, function))
        return function

    return keep


class Graph:
    """Answers every request below /v1.0."""

    def __init__(self, world: World, post: Post) -> None:
        self._world = world
        self._post = post

    def __call__(self, request: Request) -> Response:
        response = self._answered(request)
        named = {"request-id": str(uuid.uuid4()), "client-request-id": request.headers.get("client-request-id", "")}
        if 'IdType="ImmutableId"' in request.headers.get("prefer", ""):
            named["Preference-Applied"] = 'IdType="ImmutableId"'
        return replace(response, headers={**named, **response.headers})

    def _answered(self, request: Request) -> Response:
        with self._world.lock:
            person, scopes = self._asker(request)
        if person is None:
            return error(401, "InvalidAuthenticationToken", headers={"WWW-Authenticate": 'Bearer realm=""'})
        found = _routes.find(request.method, _segments(request, person))
        if found is None:
            return error(400, "BadRequest", "Resource not found for the segment.")
        route, values = found
        call = Call(person.id, route.call, request.method, request.path, request.started_at)
        try:
            return self._logged(call, route, scopes, Ask(request, self._world, self._post, person, time.time(), values))
        finally:
            call.ended_at = time.time()

    def _asker(self, request: Request) -> tuple[Account | None, list[str]]:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self._world.access_tokens.get(token) if kind.lower() == "bearer" else None
        if grant is None or grant.expires_at < time.time():
            return None, []
        return self._world.accounts.get(grant.account), grant.scopes

    def _logged(self, call: Call, route: _Route, scopes: list[str], ask: Ask) -> Response:
        world, person = self._world, ask.person.id
        with world.lock:
            world.calls.append(call)
            at_once = world.in_flight[person] = world.in_flight.get(person, 0) + 1
            limit = world.knob(person, "calls_at_once")
            fault = world.next_fault(person, route.call)
            latency = world.knob(person, "latency_seconds")
        try:
            call.fault = fault.kind if fault else ""
            if limit and at_once > limit:
                response = error(429, "ApplicationThrottled", headers={"Retry-After": "1"})
            else:
                response = self._with_fault(fault, latency, lambda: self._done(call, route, scopes, ask))
            call.status = response.status
            return response
        finally:
            with world.lock:
                world.in_flight[person] = max(0, world.in_flight.get(person, 0) - 1)  # a reset may have come between

    def _with_fault(self, fault: Fault | None, latency: float, done: Callable[[], Response]) -> Response:
        if latency:
            time.sleep(latency)
        if fault is None:
            return done()
        response = fault.before()
        return response or fault.answer(done())

    def _done(self, call: Call, route: _Route, scopes: list[str], ask: Ask) -> Response:
        with self._world.lock:
            try:
                _check(ask, route.scope, scopes)
                ask.now = time.time()
                response = route.answer(ask)
            except Refused as refusal:
                response = error(refusal.status, refusal.code, refusal.message)
            call.key = ask.touched.key if ask.touched else ""
        return response


def _check(ask: Ask, scope: str, scopes: list[str]) -> None:
    if scope not in scopes:
        raise Refused(403, "ErrorAccessDenied")
    if len(ask.request.body) > LARGEST_BODY:
        raise Refused(413, "ErrorMessageSizeExceeded", "The request is too large.")


def _segments(request: Request, person: Account) -> list[str]:
    """The path below /v1.0: keys and calls in parentheses as segments, /users/{me} as /me."""
    segments = request.segments[1:]
    if "(" in request.path:
        path = "/".join(segments)
        path = _KEYED.sub(lambda found: f"/{found[1]}" if found[1] else "", path).replace("microsoft.graph.", "")
        segments = path.split("/")
    if len(segments) > 1 and segments[0] == "users":
        if segments[1].lower() not in (person.id, person.address.lower(), person.user_principal_name.lower()):
            return ["users", "another"]
        segments = ["me", *segments[2:]]
    return segments


# --- The person -----------------------------------------------------------------------------------------------------
@_on("GET", "me", "me", "User.Read")
def _me(ask: Ask) -> Response:
    person = ask.person
    first, _, last = person.name.partition(" ")
    usual: dict[str, Any] = {
        "businessPhones": [],
        "displayName": person.name,
        "givenName": first,
        "id": person.id,
        "jobTitle": None,
        "mail": person.address if person.has_mailbox else None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": last or None,
        "userPrincipalName": person.user_principal_name,
    }
    asked_for = {
        "proxyAddresses": [f"SMTP:{person.address}", *(f"smtp:{alias}" for alias in person.aliases)]
        if person.has_mailbox
        else [],
        "userType": "Guest" if person.is_guest else "Member",
        "accountEnabled": person.stopped_with != 50057,
    }
    names = [name for name in ask.request.query.get("$select", "").split(",") if name]
    known = usual | asked_for
    chosen = {name: known[name] for name in names if name in known} if names else usual
    return answer({"@odata.context": _context(ask, "users/$entity"), **chosen})


@_on("GET", "me/mailboxSettings", "settings", "MailboxSettings.Read")
def _settings(ask: Ask) -> Response:
    return answer({"@odata.context": _context(ask, "Me/mailboxSettings"), **ask.settings})


@_on("GET", "me/mailboxSettings/{}", "settings", "MailboxSettings.Read")
def _one_setting(ask: Ask) -> Response:
    if (name := ask.found[0]) not in ask.settings:
        raise Refused(400, "BadRequest", "Resource not found for the segment.")
    value = ask.settings[name]
    return answer(value if isinstance(value, dict) else {"value": value})


# --- Folders --------------------------------------------------------------------------------------------------------
@_on("GET", "me/mailFolders", "folder", "Mail.ReadWrite")
def _folders(ask: Ask) -> Response:
    names = [name for name in WELL_KNOWN if name not in ("msgfolderroot", "recoverableitemsdeletions")]
    found = [shapes.shown_folder(ask.mailbox, name) for name in names]
    top = _whole_number(ask.request.query.get("$top", ""), USUAL_PAGE)
    return answer({"@odata.context": _context(ask, "me/mailFolders"), "value": found[:top]})


@_on("GET", "me/mailFolders/{}", "folder", "Mail.ReadWrite")
def _folder(ask: Ask) -> Response:
    shown = shapes.shown_folder(ask.mailbox, ask.folder(ask.found[0]))
    names = [name for name in ask.request.query.get("$select", "").split(",") if name]
    chosen = {name: shown[name] for name in names if name in shown} if names else shown
    return answer({"@odata.context": _context(ask, "me/mailFolders/$entity"), **chosen})


# --- Reading messages -----------------------------------------------------------------------------------------------
@_on("GET", "me/messages/{}", "get", "Mail.ReadWrite")
def _get(ask: Ask) -> Response:
    message = ask.message(ask.found[0])
    return answer({"@odata.context": _context(ask, "me/messages/$entity"), **ask.shown(message)})


@_on("GET", "me/messages/{}/$value", "get", "Mail.ReadWrite")
def _mime(ask: Ask) -> Response:
    return Response(200, incoming.mime_of(ask.message(ask.found[0])).encode(), "text/plain")


@_on("GET", "me/messages/{}/attachments", "get", "Mail.ReadWrite")
def _attachments(ask: Ask) -> Response:
    ask.message(ask.found[0])
    return answer({"@odata.context": _context(ask, "me/messages/attachments"), "value": []})


@_on("GET", "me/messages", "list", "Mail.ReadWrite")
def _everywhere(ask: Ask) -> Response:
    return _listed(ask, "")


@_on("GET", "me/mailFolders/{}/messages", "list", "Mail.ReadWrite")
def _in_folder(ask: Ask) -> Response:
    return _listed(ask, ask.folder(ask.found[0]))


def _listed(ask: Ask, folder: str) -> Response:
    query, view = ask.request.query, ask.view
    filtered = odata.parse_filter(query["$filter"]) if query.get("$filter") else None
    name, newest_first = odata.parse_order(query.get("$orderby") or "receivedDateTime desc")
    if query.get("$orderby"):
        odata.check_efficient(filtered, name)
    found = [message for message in _candidates(ask, folder, filtered) if _is_listed(ask, message, filtered)]
    found.sort(key=odata.FILTERABLE[name], reverse=newest_first)
    top = min(_whole_number(query.get("$top", ""), _preferred_page(ask, USUAL_PAGE)), LARGEST_PAGE)
    skip = _whole_number(query.get("$skip", ""), 0)
    content: dict[str, Any] = {"@odata.context": _context(ask, "me/messages")}
    if query.get("$count") == "true":
        content["@odata.count"] = len(found)
    content["value"] = [shapes.shown(ask.mailbox, message, **view) for message in found[skip : skip + top]]
    if len(found) > skip + top:
        content["@odata.nextLink"] = _link(ask, query | {"$skip": str(skip + top), "$top": str(top)})
    return answer(content)


def _candidates(ask: Ask, folder: str, filtered: odata.Filter | None) -> Iterable[Message]:
    """What could be listed: by a tag where the filter names one, else a folder, else all but the recoverable ones."""
    if filtered and filtered.tag:
        found: Iterable[Message] = ask.mailbox.tagged(*filtered.tag)
    elif folder:
        return ask.mailbox.in_folder(folder)
    else:
        found = ask.mailbox.messages.values()
    if folder:
        return (message for message in found if message.folder == folder)
    return (message for message in found if message.folder != "recoverableitemsdeletions")


def _is_listed(ask: Ask, message: Message, filtered: odata.Filter | None) -> bool:
    """It passes the filter, and is old enough for the index that filters are answered from."""
    if filtered is None:
        return not message.hidden_from_delta
    lag = ask.world.knob(ask.person.id, "search_lag_seconds")
    return message.placed_at + lag <= ask.now and filtered.test(message)


# --- Writing messages -----------------------------------------------------------------------------------------------
@_on("POST", "me/messages", "create_draft", "Mail.ReadWrite")
def _create_draft(ask: Ask) -> Response:
    return _drafted(ask, "drafts")


@_on("POST", "me/mailFolders/{}/messages", "create_draft", "Mail.ReadWrite")
def _create_draft_in(ask: Ask) -> Response:
    return _drafted(ask, ask.folder(ask.found[0]))


def _drafted(ask: Ask, folder: str) -> Response:
    content = {"subject": "", "body": shapes.normal_html("")} | shapes.read_message(ask.content)
    content.setdefault("sender", _self(ask.person))
    message = ask.mailbox.add(ask.now, folder=folder, is_draft=True, **content)
    return answer({"@odata.context": _context(ask, "me/messages/$entity"), **ask.shown(message)}, 201)


@_on("POST", "me/messages/{}/createReply", "create_reply", "Mail.ReadWrite")
def _create_reply(ask: Ask) -> Response:
    """A draft in the same thread, to whom the original came from: for an own message, that is oneself."""
    original = ask.message(ask.found[0])
    # The names of an action's parameters count in any case; Microsoft's SDK writes them with a capital.
    content = {name.lower(): value for name, value in ask.content.items()}
    given = content.get("message") or {}
    comment = content.get("comment") or ""
    if comment and given.get("body"):
        raise Refused(400, "ErrorInvalidRequest", "Only one of comment and message.body can be given.")
    set_by_app = shapes.read_message(given)
    if ask.world.knob(ask.person.id, "reply_ignores_message"):
        set_by_app = {}
    message = ask.mailbox.add(
        ask.now, folder="drafts", is_draft=True, **_reply_content(ask.person, original, str(comment)) | set_by_app
    )
    return answer({"@odata.context": _context(ask, "me/messages/$entity"), **ask.shown(message)}, 201)


def _reply_content(person: Account, original: Message, comment: str) -> dict[str, Any]:
    is_reply = original.subject.lower().startswith("re:")
    content: dict[str, Any] = {
        "subject": original.subject if is_reply else f"RE: {original.subject}",
        "body": shapes.normal_html(html.escape(comment) + _quote(original)),
        "to": original.reply_to or [original.sender],
        "sender": _self(person),
    }
    if original.is_draft:  # a reply to what has not been sent begins a thread of its own
        return content
    return content | {
        "in_reply_to": original.internet_message_id,
        "references": [*original.references, original.internet_message_id],
        "conversation_id": original.conversation_id,
        "conversation_index": _next_index(original.conversation_index),
    }


def _quote(original: Message) -> str:
    inner = re.sub(r"(?is)^.*?<body[^>]*>|</body>.*$", "", original.body)
    to = "; ".join(f"{recipient['name']} &lt;{recipient['address']}&gt;" for recipient in original.to)
    return (
        '<hr tabindex="-1"><div id="divRplyFwdMsg" dir="ltr">'
        f"<b>From:</b> {html.escape(original.sender.get('name', ''))}<br>"
        f"<b>Sent:</b> {time.strftime('%A, %d %B %Y %H:%M', time.gmtime(original.sent_at))}<br>"
        f"<b>To:</b> {to}<br><b>Subject:</b> {html.escape(original.subject)}</div><br>{inner}"
    )


def _next_index(index: str) -> str:
    return base64.b64encode(base64.b64decode(index) + time.time_ns().to_bytes(8, "big")[3:]).decode()


@_on("PATCH", "me/messages/{}", "patch", "Mail.ReadWrite")
def _patch(ask: Ask) -> Response:
    message = ask.message(ask.found[0])
    content = ask.content
    if "internetMessageHeaders" in content:
        raise Refused(400, "ErrorInvalidPropertyUpdate", "Headers can be set only when a message is created.")
    if (expected := ask.request.headers.get("if-match")) not in (None, "*", f'W/"{message.change_key}"'):
        raise Refused(412, "ErrorIrresolvableConflict", f"The change key {expected[:60]} is not the current one.")
    changes = shapes.read_message(content)
    if not message.is_draft and _DRAFT_ONLY & changes.keys():
        raise Refused(400, "ErrorInvalidPropertySet", "This can be changed only while the message is a draft.")
    for name, value in changes.pop("properties", {}).items():
        ask.mailbox.set_property(message, name, value)
    vars(message).update(changes)
    ask.mailbox.save(message, ask.now)
    return answer({"@odata.context": _context(ask, "me/messages/$entity"), **ask.shown(message)})


@_on("POST", "me/messages/{}/move", "move", "Mail.ReadWrite")
def _move(ask: Ask) -> Response:
    message = ask.message(ask.found[0])
    ask.mailbox.move(message, ask.folder(str(ask.content.get("destinationId", ""))), ask.now)
    return answer({"@odata.context": _context(ask, "me/messages/$entity"), **ask.shown(message)}, 201)


@_on("DELETE", "me/messages/{}", "delete", "Mail.ReadWrite")
def _delete(ask: Ask) -> Response:
    """To Deleted Items, from there to the recoverable ones, from there for good."""
    message = ask.message(ask.found[0])
    if message.folder == "recoverableitemsdeletions":
        ask.mailbox.delete(message)
    else:
        further = "recoverableitemsdeletions" if message.folder == "deleteditems" else "deleteditems"
        ask.mailbox.move(message, further, ask.now)
    return Response(204)


# --- Sending --------------------------------------------------------------------------------------------------------
@_on("POST", "me/messages/{}/send", "send", "Mail.Send")
def _send(ask: Ask) -> Response:
    ask.post.submit(ask.person, ask.mailbox, ask.message(ask.found[0]), ask.now)
    return Response(202)


@_on("POST", "me/sendMail", "send", "Mail.Send")
def _send_mail(ask: Ask) -> Response:
    given = {name.lower(): value for name, value in ask.content.items()}
    content = shapes.read_message(given.get("message") or {})
    content = {"subject": "", "body": shapes.normal_html(""), "sender": _self(ask.person)} | content
    ask.touched = ask.mailbox.add(ask.now, folder="drafts", is_draft=True, **content)
    try:
        ask.post.submit(ask.person, ask.mailbox, ask.touched, ask.now)
    except Refused:
        ask.mailbox.delete(ask.touched)
        raise
    return Response(202)


# --- Delta ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Cursor:
    """How far a delta round has come, as its links carry it."""

    folder: str
    generation: int
    since: int = 0
    is_first: bool = True  # the first round tells of no removals
    size: int = USUAL_PAGE
    select: str = ""
    expand: str = ""
    kinds: str = ""
    received_from: float = 0.0

    def token(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(vars(self)).encode()).decode()


@_on("GET", "me/mailFolders/{}/messages/delta", "delta", "Mail.ReadWrite")
def _delta(ask: Ask) -> Response:
    folder = ask.folder(ask.found[0])
    query = ask.request.query
    token = query.get("$deltatoken") or query.get("$skiptoken")
    cursor = _cursor_of(ask, folder, token) if token else _first_cursor(ask, folder)
    if cursor is None:
        fresh = _link(ask, {"$deltatoken": ""})
        return error(410, "SyncStateNotFound", headers={"Location": fresh})
    changes = _changes(ask, cursor)
    page = changes[: cursor.size]
    reached = page[-1].change if page else cursor.since
    content: dict[str, Any] = {"@odata.context": _context(ask, "Collection(message)")}
    told = [*_replayed(ask, cursor), *page]
    if ask.world.knob(ask.person.id, "shuffles_delta_pages"):  # any order is allowed: here, the newest first
        told.reverse()
    content["value"] = [_delta_shown(ask, cursor, changed) for changed in told]
    if len(changes) > cursor.size:
        onward = _Cursor(**vars(cursor) | {"since": reached})
        content["@odata.nextLink"] = _link(ask, {"$skiptoken": onward.token()})
    else:
        onward = _Cursor(**vars(cursor) | {"since": max(reached, ask.mailbox.change), "is_first": False})
        content["@odata.deltaLink"] = _link(ask, {"$deltatoken": onward.token()})
    return answer(content)


def _first_cursor(ask: Ask, folder: str) -> _Cursor:
    query = ask.request.query
    if "$search" in query or (query.get("$orderby") or "receivedDateTime desc") != "receivedDateTime desc":
        raise Refused(400, "ErrorInvalidUrlQuery", "Delta takes no such query.")
    received_from = 0.0
    if wanted := query.get("$filter", "").strip():
        found = re.fullmatch(r"receivedDateTime\s+g[et]\s+(\S+)", wanted)
        if not found:
            raise Refused(400, "ErrorInvalidUrlQueryFilter", "Delta filters by receivedDateTime ge or gt alone.")
        received_from = odata.parse_moment(found[1])
    size = _whole_number(query.get("$top", ""), _preferred_page(ask, USUAL_PAGE))
    return _Cursor(
        folder=folder,
        generation=ask.mailbox.generation,
        size=max(1, min(size, LARGEST_PAGE)),
        select=query.get("$select", ""),
        expand=query.get("$expand", ""),
        kinds=query.get("changeType", ""),
        received_from=received_from,
    )


def _cursor_of(ask: Ask, folder: str, token: str) -> _Cursor | None:
    try:
        cursor = _Cursor(**json.loads(base64.urlsafe_b64decode(token)))
    except (ValueError, TypeError):
        return None
    return cursor if (cursor.folder, cursor.generation) == (folder, ask.mailbox.generation) else None


def _changes(ask: Ask, cursor: _Cursor) -> list[Message | Removal]:
    """Everything after the cursor, in the order in which it happened."""
    found: list[Message | Removal] = []
    if cursor.kinds != "deleted":
        found += [
            message
            for message in ask.mailbox.in_folder(cursor.folder)
            if message.change > cursor.since
            and message.received_at >= cursor.received_from
            and not message.hidden_from_delta
        ]
    if not cursor.is_first and cursor.kinds in ("", "deleted"):
        found += [
            removal
            for removal in ask.mailbox.removals
            if removal.folder == cursor.folder and removal.change > cursor.since
        ]
    return sorted(found, key=lambda change: change.change)


def _delta_shown(ask: Ask, cursor: _Cursor, changed: Message | Removal) -> dict[str, Any]:
    kind = {"@odata.type": "#microsoft.graph.message"}
    if isinstance(changed, Removal):
        identity = changed.id if ask.is_immutable else changed.regular_id
        return kind | {"id": identity, "@removed": {"reason": "deleted"}}
    return kind | shapes.shown(
        ask.mailbox,
        changed,
        immutable=ask.is_immutable,
        select=shapes.selected(cursor.select),
        expand=odata.property_ids(cursor.expand),
    )


def _replayed(ask: Ask, cursor: _Cursor) -> list[Message]:
    """Microsoft allows pages to tell again what was told: here, the newest message from before the cursor."""
    if not ask.world.knob(ask.person.id, "replays_delta_pages") or not cursor.since:
        return []
    known = [message for message in ask.mailbox.in_folder(cursor.folder) if message.change <= cursor.since]
    return sorted(known, key=lambda message: message.change)[-1:]


# --- Small things ---------------------------------------------------------------------------------------------------
def _self(person: Account) -> Recipient:
    return {"name": person.name, "address": person.address}


def _context(ask: Ask, what: str) -> str:
    return f"{ask.request.origin}/{ROOT}/$metadata#{what}"


def _link(ask: Ask, query: dict[str, str]) -> str:
    return f"{ask.request.origin}{ask.request.path}?{urlencode(query, safe='$')}"


def _preferred_page(ask: Ask, usual: int) -> int:
    found = re.search(r"odata\.maxpagesize=(\d+)", ask.prefers)
    return int(found[1]) if found else usual


def _whole_number(text: str, usual: int) -> int:
    if not text:
        return usual
    if not text.isdecimal():
        raise Refused(400, "ErrorInvalidUrlQuery", "A number is malformed.")
    return int(text)
