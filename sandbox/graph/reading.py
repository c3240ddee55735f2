"""Messages: one, and lists of them."""

from collections.abc import Iterable
from typing import Any

from sandbox import incoming, odata, shapes
from sandbox.answers import answer
from sandbox.graph.asking import LARGEST_PAGE, USUAL_PAGE, Ask, context, link, on, preferred_page, whole_number
from sandbox.mailbox import Message
from sandbox.wire import Response


@on("GET", "me/messages/{}", "get", "Mail.ReadWrite")
def _get(ask: Ask) -> Response:
    message = ask.message(ask.found[0])
    return answer({"@odata.context": context(ask, "me/messages/$entity"), **ask.shown(message)})


@on("GET", "me/messages/{}/$value", "get", "Mail.ReadWrite")
def _mime(ask: Ask) -> Response:
    return Response(200, incoming.mime_of(ask.message(ask.found[0])).encode(), "text/plain")


@on("GET", "me/messages/{}/attachments", "get", "Mail.ReadWrite")
def _attachments(ask: Ask) -> Response:
    ask.message(ask.found[0])
    return answer({"@odata.context": context(ask, "me/messages/attachments"), "value": []})


@on("GET", "me/messages", "list", "Mail.ReadWrite")
def _everywhere(ask: Ask) -> Response:
    return _listed(ask, "")


@on("GET", "me/mailFolders/{}/messages", "list", "Mail.ReadWrite")
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
    top = min(whole_number(query.get("$top", ""), preferred_page(ask, USUAL_PAGE)), LARGEST_PAGE)
    skip = whole_number(query.get("$skip", ""), 0)
    content: dict[str, Any] = {"@odata.context": context(ask, "me/messages")}
    if query.get("$count") == "true":
        content["@odata.count"] = len(found)
    content["value"] = [shapes.shown(ask.mailbox, message, **view) for message in found[skip : skip + top]]
    if len(found) > skip + top:
        content["@odata.nextLink"] = link(ask, query | {"$skip": str(skip + top), "$top": str(top)})
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
