"""A machine's answer, a person's, or the wish to be left alone."""

from datetime import date
from typing import Any

import pytest

from sequences.models import IncomingMail
from sequences.replies.classifying import classify
from tests.sequences.letters import from_file, letter

Kind = IncomingMail.Kind


@pytest.mark.parametrize(
    ("name", "newest"),
    [
        ("outlook_en.eml", "Best regards\nCleo"),
        ("outlook_de.eml", "Mit freundlichen Grüßen\nCleo Candidate"),
        ("gmail.eml", "Sure, send me the details!"),
    ],
)
def test_takes_a_person_for_a_person(name: str, newest: str) -> None:
    verdict = classify(from_file(name))

    assert (verdict.kind, verdict.because) == (Kind.REPLY, "nothing in it looks automatic")
    assert verdict.text.endswith(newest)


@pytest.mark.parametrize(
    ("name", "because", "back_after"),
    [
        ("exchange_oof_de.eml", "the header Auto-Submitted is auto-generated", date(2026, 12, 4)),
        ("gmail_vacation.eml", "the header Auto-Submitted is auto-replied", date(2026, 12, 7)),
    ],
)
def test_takes_an_absence_for_a_machine(name: str, because: str, back_after: date) -> None:
    verdict = classify(from_file(name))

    assert (verdict.kind, verdict.because, verdict.back_after) == (Kind.AUTO_REPLY, because, back_after)


@pytest.mark.parametrize(
    ("headers", "item_class"),
    [
        ({"Auto_Submitted": "auto-replied; type=vacation"}, "IPM.Note"),
        ({"X_Autoreply": "yes"}, "IPM.Note"),
        ({"x_autorespond": "Re: A role"}, "IPM.Note"),
        ({"X_MS_Exchange_Inbox_Rules_Loop": "cleo@candidate.example"}, "IPM.Note"),
        ({"Precedence": "auto_reply"}, "IPM.Note"),
        ({}, "IPM.Note.Rules.OofTemplate.Microsoft"),
        ({}, "IPM.Note.Rules.ExternalOofTemplate.Microsoft"),
        ({}, "IPM.Note.Rules.ReplyTemplate.Microsoft"),
    ],
)
def test_knows_a_machine_by_header_or_class(headers: dict[str, Any], item_class: str) -> None:
    verdict = classify(letter(text="Thank you for your message.", item_class=item_class, **headers))

    assert verdict.kind == Kind.AUTO_REPLY
    assert verdict.back_after is None


@pytest.mark.parametrize("headers", [{"X_Auto_Response_Suppress": "All"}, {"Auto_Submitted": "no"}, {"Precedence": ""}])
def test_does_not_take_ordinary_headers_for_a_machine(headers: dict[str, Any]) -> None:
    assert classify(letter(text="Let us talk.", **headers)).kind == Kind.REPLY


@pytest.mark.parametrize(
    ("subject", "text", "kind"),
    [
        ("Automatische Antwort: Eine Stelle", "Ich bin bis 4.12. im Urlaub.", Kind.AUTO_REPLY),
        ("Out of Office: A role", "I will return next week.", Kind.AUTO_REPLY),
        ("Automatic reply: A role", "Just kidding, tell me more!", Kind.REPLY),
        ("RE: Automatische Antwort: Eine Stelle", "Bin aus dem Urlaub zurück, gern!", Kind.REPLY),
        ("Re: A role", "I am on vacation, call me in May.", Kind.REPLY),
    ],
)
def test_takes_a_subject_as_a_hint_only(subject: str, text: str, kind: str) -> None:
    assert classify(letter(subject=subject, text=text)).kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "unsubscribe",
        "STOP.",
        "Please unsubscribe me and do not write to me again.",
        "Hi Alice,\n\nplease remove me from your list.\n\nThanks,\nCleo",
        "Please remove me",
        "Remove my email address from your database, thanks",
        "Don’t contact me again!",
        "Take me off this list",
        "Unsubscribe\n\nSent from my iPhone",
        "Opt out",
        "No more emails please",
        "Abmelden",
        "Bitte abmelden!",
        "Sehr geehrte Frau Archer,\nbitte kontaktieren Sie mich nicht mehr.\n\nMit freundlichen Grüßen\nCleo\nCTO",
        "Bitte nicht mehr kontaktieren.",
        "Bitte keine weiteren E-Mails",
        "Ich möchte keine weiteren E-Mails erhalten.",
        "Bitte löschen Sie meine Daten.",
        "Bitte nehmen Sie mich aus Ihrem Verteiler.",
        "unsubscribe\n\nOn Mon, Nov 23, 2026 at 9:00 AM Alice Archer <alice@demo.example> wrote:\n> Hi\n> there",
    ],
)
def test_hears_the_wish_to_be_left_alone(text: str) -> None:
    assert classify(letter(text=text)).kind == Kind.OPT_OUT


def test_hears_the_wish_in_the_subject_of_an_empty_email() -> None:
    assert classify(letter(subject="Unsubscribe", text="\n")).kind == Kind.OPT_OUT


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("I am not interested, but my friend Dora might be.", ""),
        ("How do I unsubscribe from your competitor's list? Anyway, tell me more about the role.", "unsubscribe"),
        ("Do not contact me at work. Write to cleo@home.example instead, I am curious!", "Do not contact"),
        ("Meine Daten finden Sie anbei.", "Meine Daten"),
        ("Stop by when you are in Berlin.", ""),
        ("", ""),
    ],
)
def test_suppresses_nobody_for_a_word_in_a_letter(text: str, hint: str) -> None:
    verdict = classify(letter(text=text))

    assert verdict.kind == Kind.REPLY
    assert (f"“{hint}”" in verdict.because) is bool(hint)


def test_takes_a_read_receipt_for_nothing() -> None:
    assert classify(from_file("read_receipt.eml")).kind == Kind.OTHER
