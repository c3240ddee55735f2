"""The receipt of a message: who initiated it, from which mailbox, to whom, by whose word, when, and what; signed.

The key is one of its own (`RECEIPT_KEYS`, id:key; the first signs, all verify), so that who can read or write the
database cannot make one.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What a receipt states. `grant` is none where the person is the mailbox's owner."""

    message: str
    mailbox: str
    person: int
    sequence: int
    to_address: str
    grant: int | None
    grant_version: int | None
    grant_digest: str
    permitted_at: datetime
    body_hash: str

    def canonical(self) -> bytes:
        """One byte string per statement: JSON, keys sorted, time in UTC to the microsecond."""
        facts = {name: getattr(self, name) for name in self.__slots__}
        facts["permitted_at"] = self.permitted_at.astimezone(UTC).isoformat(timespec="microseconds")
        return _CANONICAL.encode(facts).encode()


def sign(statement: Statement) -> tuple[str, str]:
    """The id of the newest key, and the signature by it."""
    key_id = next(iter(settings.RECEIPT_KEYS))
    return key_id, _signature(key_id, statement)


def verifies(statement: Statement, key_id: str, signature: str) -> bool:
    """Whether the signature is of this statement. An unknown key verifies nothing."""
    return is_known(key_id) and hmac.compare_digest(_signature(key_id, statement), signature)


def is_known(key_id: str) -> bool:
    """Old keys stay in RECEIPT_KEYS behind the new one, so that what they signed can be verified."""
    return key_id in settings.RECEIPT_KEYS


def body_hash(subject: str, body_html: str) -> str:
    return hashlib.sha256(f"{subject}\n{body_html}".encode()).hexdigest()


def _signature(key_id: str, statement: Statement) -> str:
    # Not hmac.digest(): that one lets other threads run meanwhile, and waiting for its turn costs ten times the work.
    return hmac.new(settings.RECEIPT_KEYS[key_id].encode(), statement.canonical(), "sha256").hexdigest()
