"""Domains of mail for everybody: two people there are no colleagues. Pure."""

import re

# The same provider under many endings: gmx.de, gmx.net, yahoo.co.uk.
_PROVIDER = re.compile(
    r"(aol|fastmail|gmail|gmx|googlemail|hey|hotmail|icloud|laposte|live|mac|mail|mailbox|me|msn|outlook|pm|posteo"
    r"|proton|protonmail|rocketmail|t-online|tuta|tutanota|web|yahoo|yandex|ymail|zoho)(\.com?)?\.[a-z]+"
    r"|(163|126|att|bluewin|btinternet|chello|comcast|free|freenet|libero|list|o2|orange|qq|sbcglobal|seznam|sfr"
    r"|verizon|virgilio|wanadoo|wp)\.(at|ch|com|cz|de|fr|it|net|pl|ru)"
)


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


def company_domain(address: str) -> str:
    """The domain if it is a company's own; empty for one that anybody can have an address at."""
    domain = domain_of(address)
    return "" if _PROVIDER.fullmatch(domain) else domain
