"""Delivery reports: for good, for now, or because of our own limits."""

import pytest

from sequences.replies.bounces import Outcome, read, sign_of_report
from tests.sequences.letters import from_file, letter


@pytest.mark.parametrize(
    ("name", "item_class", "status", "recipient"),
    [
        ("exchange_ndr.eml", "REPORT.IPM.Note.NDR", "5.1.10", "nobody@candidate.example"),
        ("postfix.eml", "IPM.Note", "5.1.1", "nobody@candidate.example"),
        ("google.eml", "IPM.Note", "5.1.1", "nobody@gmail.com"),
        ("qmail.eml", "IPM.Note", "5.1.1", "nobody@candidate.example"),
    ],
)
def test_reads_a_failure_for_good(name: str, item_class: str, status: str, recipient: str) -> None:
    mail = from_file(name, item_class)

    report = read(mail)

    assert sign_of_report(mail)
    assert (report.outcome, report.status) == (Outcome.FAILED, status)
    assert recipient in report.recipients


@pytest.mark.parametrize("name", ["exchange_ndr.eml", "postfix.eml", "google.eml", "postfix_delayed.eml"])
def test_finds_the_email_that_is_returned(name: str) -> None:
    assert read(from_file(name)).message_ids == ("<OURS1@demo.example>",)


def test_reads_a_delay() -> None:
    report = read(from_file("postfix_delayed.eml"))

    assert (report.outcome, report.status) == (Outcome.DELAYED, "4.4.1")


def test_takes_a_full_mailbox_for_a_delay() -> None:
    mail = letter(From="postmaster@candidate.example", mime=b"Content-Type: text/plain\n\n550 5.2.2 mailbox full")

    assert read(mail).outcome == Outcome.DELAYED


def test_reads_our_own_limit_behind_a_general_status() -> None:
    report = read(from_file("exchange_limit.eml", "REPORT.IPM.Note.NDR"))

    assert (report.outcome, report.status) == (Outcome.OUR_LIMIT, "5.7.233")


def test_does_not_read_codes_in_the_email_that_is_returned() -> None:
    mime = (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=e\n\n--e\nContent-Type: text/plain\n\n"
        b"It was delivered.\n--e\nContent-Type: message/rfc822\n\nContent-Type: text/plain\n\nversion 5.1.1\n--e--\n"
    )

    assert read(letter(mime=mime)).outcome == Outcome.NONE


@pytest.mark.parametrize("name", ["outlook_en.eml", "exchange_oof_de.eml", "gmail_vacation.eml", "read_receipt.eml"])
def test_takes_no_answer_for_a_report(name: str) -> None:
    assert not sign_of_report(from_file(name))
