"""What a person finds in their mail program."""

import re

from django.core import mail
from django.core.mail import EmailMessage


def last_mail_to(address: str) -> EmailMessage:
    mine = [each for each in mail.outbox if address in each.to]
    assert mine, f"No mail among {[each.to for each in mail.outbox]}"
    return mine[-1]


def code_in(message: EmailMessage) -> str:
    """The code that stands on a line of its own."""
    found = re.search(r"^([A-Z0-9]{4,}(?:-[A-Z0-9]+)*)$", str(message.body), re.MULTILINE)
    assert found, message.body
    return found[1]


def path_in(message: EmailMessage, site_url: str) -> str:
    """The first link to our site, without the site."""
    found = re.search(rf"{re.escape(site_url)}(/\S+)", str(message.body))
    assert found, message.body
    return found[1]
