"""The person, the mailbox settings and the folders."""

from typing import Any

from sandbox import shapes
from sandbox.answers import Refused, answer
from sandbox.graph.asking import USUAL_PAGE, Ask, context, on, whole_number
from sandbox.mailbox import WELL_KNOWN
from sandbox.wire import Response


@on("GET", "me", "me", "User.Read")
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
    return answer({"@odata.context": context(ask, "users/$entity"), **chosen})


@on("GET", "me/mailboxSettings", "settings", "MailboxSettings.Read")
def _settings(ask: Ask) -> Response:
    return answer({"@odata.context": context(ask, "Me/mailboxSettings"), **ask.settings})


@on("GET", "me/mailboxSettings/{}", "settings", "MailboxSettings.Read")
def _one_setting(ask: Ask) -> Response:
    if (name := ask.found[0]) not in ask.settings:
        raise Refused(400, "BadRequest", "Resource not found for the segment.")
    value = ask.settings[name]
    return answer(value if isinstance(value, dict) else {"value": value})


@on("GET", "me/mailFolders", "folder", "Mail.ReadWrite")
def _folders(ask: Ask) -> Response:
    names = [name for name in WELL_KNOWN if name not in ("msgfolderroot", "recoverableitemsdeletions")]
    found = [shapes.shown_folder(ask.mailbox, name) for name in names]
    top = whole_number(ask.request.query.get("$top", ""), USUAL_PAGE)
    return answer({"@odata.context": context(ask, "me/mailFolders"), "value": found[:top]})


@on("GET", "me/mailFolders/{}", "folder", "Mail.ReadWrite")
def _folder(ask: Ask) -> Response:
    shown = shapes.shown_folder(ask.mailbox, ask.folder(ask.found[0]))
    names = [name for name in ask.request.query.get("$select", "").split(",") if name]
    chosen = {name: shown[name] for name in names if name in shown} if names else shown
    return answer({"@odata.context": context(ask, "me/mailFolders/$entity"), **chosen})
