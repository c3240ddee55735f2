"""One address, in the one form in which we keep and compare it. Pure."""

import re

from email_validator import EmailNotValidError, validate_email

# What nearly every address looks like. Whatever this does not know is asked of email-validator, which takes a
# hundred times as long: double hyphens, punycode and short or odd endings have rules of their own.
LABEL = r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}"
PLAIN = re.compile(
    rf"[a-z0-9_+'-]+(?:\.[a-z0-9_+'-]+)*@(?:{LABEL}\.)+(?!(?:arpa|invalid|local|localhost|onion|test)$)[a-z]{{2,24}}"
)
LONGEST_PLAIN = 64  # the limit of the part before the @-sign, so a plain address of this length breaks no limit
LONGEST = 254


def canonical(text: str) -> str | None:
    """The address in lower case, its domain in ASCII; None if it is no address."""
    address = text.strip().lower()
    if len(address) <= LONGEST_PLAIN and PLAIN.fullmatch(address):
        return address
    return _by_the_book(text.strip())


def _by_the_book(text: str) -> str | None:
    if len(text) > LONGEST or "@" not in text:
        return None
    try:
        found = validate_email(text, check_deliverability=False, strict=True)
    except (EmailNotValidError, UnicodeError):
        return None
    # The domain as it travels: two spellings of one domain are one, and a look-alike letter is seen.
    address = f"{found.local_part}@{found.ascii_domain}".lower()
    return address if len(address) <= LONGEST else None
