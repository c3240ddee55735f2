"""A mailbox's settings, and what goes wrong with it on demand."""

from datetime import datetime
from typing import Any

from sandbox import paper
from sandbox.faults import CALLS, FOREVER, KINDS, Fault
from sandbox.pages.frame import Ask, Missing, address_of, button, field, on, sheet
from sandbox.pages.mail import mailbox_frame
from sandbox.paper import text
from sandbox.wire import Response

_REPLIES = (("disabled", "Off"), ("alwaysEnabled", "On"), ("scheduled", "On between two times"))
_ZONES = ("W. Europe Standard Time", "GMT Standard Time", "Eastern Standard Time", "Pacific Standard Time", "UTC")
_CALL_WORDS = {
    "any": "any call",
    "me": "reading the profile",
    "settings": "reading the settings",
    "folder": "reading a folder",
    "list": "listing messages",
    "get": "reading a message",
    "delta": "following a folder",
    "create_draft": "creating a draft",
    "create_reply": "creating a reply",
    "patch": "changing a message",
    "move": "moving a message",
    "delete": "deleting a message",
    "send": "sending",
    "token": "refreshing the token",
}
# The knobs that a person may want to turn by hand: how each is shown, and how it is read.
_NUMBERS = {
    "settle_seconds": "Seconds from Drafts to Sent Items (negative: not before told)",
    "search_lag_seconds": "Seconds before a search finds a change",
    "latency_seconds": "Seconds before every answer",
    "calls_at_once": "Calls at once (more are answered 429; 0: no limit)",
    "sends_per_minute": "Mails a minute (more wait; 0: no limit)",
    "token_seconds": "Life of access tokens in seconds (0: an hour or more)",
}
_SWITCHES = {
    "id_changes_on_send": "The immutable id changes when a mail is sent",
    "reply_ignores_message": "createReply ignores the message that it is given",
    "hides_internal_auto_replies": "Automatic replies of colleagues are left out of delta",
    "replays_delta_pages": "Delta tells some things twice",
    "shuffles_delta_pages": "Delta tells things out of order",
}


@on("GET", "mail/{}/setup")
def setup(ask: Ask) -> Response:
    crumbs = [("/", "Mailboxes"), (address_of(ask.person, "inbox"), ask.person.name)]
    content = "".join(part(ask) for part in (_away_card, _fault_card, _knob_card, _token_card))
    return sheet(f"Settings of {ask.person.name}", mailbox_frame(ask, "setup", content), crumbs=crumbs)


# --- Settings that Graph tells of -----------------------------------------------------------------------------------
def _away_card(ask: Ask) -> str:
    settings = ask.person.settings
    replies = settings["automaticRepliesSetting"]
    status = f'<select id="status" name="status">{paper.options(_REPLIES, replies["status"])}</select>'
    zones = paper.options(
        [(zone, zone) for zone in {settings["timeZone"]: 0} | dict.fromkeys(_ZONES)], settings["timeZone"]
    )
    hours = settings["workingHours"]
    return (
        f'<section class="card"><h2>Mailbox settings</h2><form method="post" action="{address_of(ask.person, "away")}">'
        f"{field('Automatic replies', status, 'status')}"
        f'<div class="row">{_moment_field("From (UTC)", "since", replies["scheduledStartDateTime"])}'
        f"{_moment_field('Until (UTC)', 'until', replies['scheduledEndDateTime'])}</div>"
        f"{field('Time zone', f'<select id=zone name=zone>{zones}</select>', 'zone')}"
        f'<div class="row">{_clock_field("Works from", "opens", hours["startTime"])}'
        f"{_clock_field('Works until', 'closes', hours['endTime'])}</div>"
        '<p class="actions"><button>Save settings</button></p></form></section>'
    )


def _moment_field(label: str, name: str, moment: dict[str, str]) -> str:
    value = moment["dateTime"][:16]
    return field(label, f'<input id="{name}" name="{name}" type="datetime-local" value="{text(value)}">', name)


def _clock_field(label: str, name: str, clock: str) -> str:
    return field(label, f'<input id="{name}" name="{name}" type="time" value="{text(clock[:5])}">', name)


@on("POST", "mail/{}/away")
def away(ask: Ask) -> Response:
    form, settings = ask.request.form, ask.person.settings
    if form["status"] not in dict(_REPLIES):
        raise Missing
    settings["automaticRepliesSetting"] |= {
        "status": form["status"],
        "scheduledStartDateTime": _graph_moment(form["since"]),
        "scheduledEndDateTime": _graph_moment(form["until"]),
    }
    settings["timeZone"] = form["zone"]
    settings["workingHours"] |= {
        "startTime": f"{form['opens']}:00.0000000",
        "endTime": f"{form['closes']}:00.0000000",
        "timeZone": {"name": form["zone"]},
    }
    return _saved(ask)


def _graph_moment(value: str) -> dict[str, str]:
    return {"dateTime": f"{datetime.fromisoformat(value):%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}


def _saved(ask: Ask) -> Response:
    ask.world.save_account(ask.person)
    return paper.redirect(address_of(ask.person, "setup"))


# --- Faults ---------------------------------------------------------------------------------------------------------
def _fault_card(ask: Ask) -> str:
    standing = ask.world.faults.get(ask.person.id, [])
    clear = address_of(ask.person, "faults", "clear")
    rows = "".join(f"<li>{_told(fault)}{button(clear, 'Clear', 'quiet', id=fault.id)}</li>" for fault in standing)
    listing = f'<ul class="faults">{rows}</ul>' if rows else '<p class="quietly">Nothing goes wrong at the moment.</p>'
    calls = paper.options([(call, _CALL_WORDS[call]) for call in CALLS], "send")
    kinds = paper.options(KINDS.items(), "lost_after")
    return (
        f'<section class="card"><h2>Faults</h2>{listing}'
        f'<form method="post" action="{address_of(ask.person, "faults")}"><h3>Let something go wrong</h3>'
        f"{field('When', f'<select id=call name=call>{calls}</select>', 'call')}"
        f"{field('What', f'<select id=kind name=kind>{kinds}</select>', 'kind')}"
        f'<div class="row">{_number_field("How often (-1: always)", "times", "1")}'
        f"{_number_field('After good calls', 'skip', '0')}{_number_field('Status', 'status', '503')}</div>"
        f'<div class="row">{_text_field("Retry-After", "retry_after")}{_text_field("Graph’s error code", "code")}'
        f"{_number_field('Seconds, when slow', 'seconds', '5')}</div>"
        '<p class="actions"><button>Set fault</button></p></form></section>'
    )


def _told(fault: Fault) -> str:
    often = "always" if fault.times == FOREVER else f"{fault.times} more time{'s' if fault.times != 1 else ''}"
    status = f" ({fault.status})" if fault.kind in ("status", "status_after") else ""
    after = f", after {fault.skip} good ones" if fault.skip else ""
    return f"<span><b>{text(_CALL_WORDS[fault.call])}</b>: {text(KINDS[fault.kind])}{status}, {often}{after}</span>"


def _number_field(label: str, name: str, value: str) -> str:
    return field(label, f'<input id="{name}" name="{name}" type="number" step="any" value="{text(value)}">', name)


def _text_field(label: str, name: str) -> str:
    return field(label, f'<input id="{name}" name="{name}" autocomplete="off">', name)


@on("POST", "mail/{}/faults")
def set_fault(ask: Ask) -> Response:
    form = ask.request.form
    if form["call"] not in CALLS or form["kind"] not in KINDS:
        raise Missing
    ask.world.add_fault(
        account=ask.person.id,
        call=form["call"],
        kind=form["kind"],
        times=int(form["times"]),
        skip=int(form["skip"]),
        status=int(form["status"] or 0),
        seconds=float(form["seconds"] or 0),
        code=form["code"],
        retry_after=form["retry_after"] or None,
    )
    return paper.redirect(address_of(ask.person, "setup"))


@on("POST", "mail/{}/faults/clear")
def clear_fault(ask: Ask) -> Response:
    ask.world.drop_faults(ask.person.id, ask.request.form["id"])
    return paper.redirect(address_of(ask.person, "setup"))


# --- Knobs and tokens -----------------------------------------------------------------------------------------------
def _knob_card(ask: Ask) -> str:
    def now(name: str) -> Any:
        return ask.world.knob(ask.person.id, name)

    numbers = "".join(_number_field(label, name, f"{now(name):g}") for name, label in _NUMBERS.items())
    switches = "".join(
        f'<label class="check"><input type="checkbox" name="{name}" value="yes"{" checked" if now(name) else ""}> '
        f"{text(label)}</label>"
        for name, label in _SWITCHES.items()
    )
    return (
        f'<section class="card"><h2>How Exchange behaves here</h2>'
        f'<form method="post" action="{address_of(ask.person, "knobs")}">{numbers}{switches}'
        '<p class="actions"><button>Save behaviour</button></p></form></section>'
    )


@on("POST", "mail/{}/knobs")
def turn(ask: Ask) -> Response:
    form = ask.request.form
    numbers = {name: float(form[name]) for name in _NUMBERS}
    whole = {"calls_at_once", "sends_per_minute", "token_seconds"}
    changes = {name: int(value) if name in whole else value for name, value in numbers.items()}
    ask.world.turn(changes | {name: form.get(name) == "yes" for name in _SWITCHES}, ask.person)
    return paper.redirect(address_of(ask.person, "setup"))


def _token_card(ask: Ask) -> str:
    person = ask.person
    tokens = button(address_of(person, "revoke"), "Revoke all tokens", "quiet danger")
    consent = button(address_of(person, "withdraw"), "Take back the consent", "quiet danger")
    given = ", ".join(person.consented) or "nothing"
    return (
        f'<section class="card"><h2>Access</h2><p>Has consented to: {text(given)}.</p>'
        f'<div class="actions start">{tokens}{consent}</div></section>'
    )


@on("POST", "mail/{}/revoke")
def revoke(ask: Ask) -> Response:
    ask.world.sign_out(ask.person, access=True)
    return paper.redirect(address_of(ask.person, "setup"))


@on("POST", "mail/{}/withdraw")
def withdraw(ask: Ask) -> Response:
    ask.person.consented = []
    return _saved(ask)
