"""Is our app registration at Microsoft in order? Asked by an operator, answered in sentences."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.conf import settings

from mailconnect import approval, connecting
from mailconnect.microsoft import identity
from mailconnect.microsoft.errors import MicrosoftUnavailable, OperatorProblem
from mailconnect.reasons import OPERATOR

# Time enough to have a new secret made by those who may.
WARN_DAYS = 60


@dataclass(frozen=True)
class Finding:
    good: bool
    text: str


def findings(today: date) -> Iterator[Finding]:
    """Every check in turn. Talks to Microsoft."""
    yield _client_id()
    yield _expiry(today)
    yield _conversation()


def to_register() -> list[str]:
    """What an operator types into the registration."""
    return [
        f"Redirect address (platform Web): {connecting.redirect_uri()}",
        f"Redirect address (platform Web): {approval.redirect_uri()}",
        f"Delegated permissions of Microsoft Graph: {', '.join(identity.GRAPH_SCOPES)}",
        "Supported accounts: any organizational directory (multi-tenant)",
        "Approval for everybody in a company, by its administrator: "
        + identity.admin_consent_url(tenant="", state="", redirect_uri=approval.redirect_uri()),
    ]


def _client_id() -> Finding:
    try:
        uuid.UUID(settings.MICROSOFT_CLIENT_ID)
    except ValueError:
        return Finding(False, "MICROSOFT_CLIENT_ID is no id: copy “Application (client) ID” of the registration.")
    return Finding(True, "MICROSOFT_CLIENT_ID has the shape of an id.")


def _expiry(today: date) -> Finding:
    if settings.MICROSOFT_CERTIFICATE:
        return Finding(True, "A certificate is used in place of a secret.")
    if not settings.MICROSOFT_SECRET_EXPIRES:
        return Finding(True, "Set MICROSOFT_SECRET_EXPIRES to the secret's date, to be warned before it comes.")
    try:
        left = (date.fromisoformat(settings.MICROSOFT_SECRET_EXPIRES) - today).days
    except ValueError:
        return Finding(False, "MICROSOFT_SECRET_EXPIRES must be a date such as 2027-01-31.")
    if left < 0:
        return Finding(False, f"The client secret expired {-left} days ago: make a new one and set it.")
    if left < WARN_DAYS:
        return Finding(False, f"The client secret expires in {left} days: make a new one soon.")
    return Finding(True, f"The client secret is good for {left} days.")


def _conversation() -> Finding:
    host = settings.SANDBOX_URL or settings.MICROSOFT_LOGIN_HOST
    try:
        identity.probe()
    except OperatorProblem as problem:
        return Finding(False, OPERATOR[problem.reason])
    except MicrosoftUnavailable:
        return Finding(False, f"{host} cannot be reached or does not answer as it should. Is the network open to it?")
    return Finding(True, f"{host} knows the app and accepts its credential.")
