"""Following a folder: what has changed since a link was given."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from sandbox import odata, shapes
from sandbox.answers import Refused, answer, error
from sandbox.graph.asking import (
    LARGEST_PAGE,
    USUAL_PAGE,
    Ask,
    context,
    link,
    on,
    preferred_page,
    whole_number,
)
from sandbox.mailbox import Message, Removal
from sandbox.wire import Response


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


@on("GET", "me/mailFolders/{}/messages/delta", "delta", "Mail.ReadWrite")
def _delta(ask: Ask) -> Response:
    folder = ask.folder(ask.found[0])
    query = ask.request.query
    token = query.get("$deltatoken") or query.get("$skiptoken")
    cursor = _cursor_of(ask, folder, token) if token else _first_cursor(ask, folder)
    if cursor is None:
        fresh = link(ask, {"$deltatoken": ""})
        return error(410, "SyncStateNotFound", headers={"Location": fresh})
    changes = _changes(ask, cursor)
    page = changes[: cursor.size]
    reached = page[-1].change if page else cursor.since
    content: dict[str, Any] = {"@odata.context": context(ask, "Collection(message)")}
    told = [*_replayed(ask, cursor), *page]
    if ask.world.knob(ask.person.id, "shuffles_delta_pages"):  # any order is allowed: here, the newest first
        told.reverse()
    content["value"] = [_delta_shown(ask, cursor, changed) for changed in told]
    if len(changes) > cursor.size:
        onward = _Cursor(**vars(cursor) | {"since": reached})
        content["@odata.nextLink"] = link(ask, {"$skiptoken": onward.token()})
    else:
        onward = _Cursor(**vars(cursor) | {"since": max(reached, ask.mailbox.change), "is_first": False})
        content["@odata.deltaLink"] = link(ask, {"$deltatoken": onward.token()})
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
    size = whole_number(query.get("$top", ""), preferred_page(ask, USUAL_PAGE))
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
