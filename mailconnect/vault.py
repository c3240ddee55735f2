"""A connection's tokens at rest: encrypted envelopes, each of which says whose it is."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import InvalidToken
from django.db import transaction
from django.db.models import QuerySet

from mailconnect.among import Among
from mailconnect.microsoft.errors import OperatorProblem, ReconnectNeeded
from mailconnect.microsoft.identity import TokenAnswer
from mailconnect.models import TokenCache

# msal too counts a token with less than five minutes left as expired.
LEAST_LEFT = timedelta(minutes=5)


def store(*, connection_id: int, tokens: TokenAnswer, now: datetime) -> None:
    """Keep the tokens of a new sign-in, whatever was there before: a refresh under way will find it is too late.

    What was there is not read: it may be under a key that is lost, and signing in again is the cure.
    """
    with transaction.atomic():
        TokenCache.objects.filter(connection=connection_id).delete()
        TokenCache.objects.create(connection_id=connection_id, **envelopes(connection_id, tokens, now))


def envelopes(connection_id: int, tokens: TokenAnswer, now: datetime) -> dict[str, Any]:
    """The fields of a `TokenCache` that hold these tokens, with no refresh under way."""
    return {
        "envelope": json.dumps({"connection": connection_id, "cache": tokens.cache}),
        "access_envelope": json.dumps({"connection": connection_id, "token": tokens.access_token}),
        "access_expires_at": now + timedelta(seconds=tokens.expires_in),
        "refresh_owner": None,
        "refresh_until": None,
        "updated_at": now,
    }


def fresh_access_token(connection_id: int, now: datetime) -> str:
    """The stored access token if it is good for five minutes more, else an empty string. One query, one decryption."""
    row = TokenCache.objects.filter(connection=connection_id, access_expires_at__gt=now + LEAST_LEFT)
    envelope = _read(row, "access_envelope")
    return _opened(connection_id, envelope, "token") if envelope else ""


def fresh_access_tokens(connection_ids: Iterable[int], now: datetime) -> dict[int, str]:
    """As `fresh_access_token` for many mailboxes, with one query; those without a fresh one are left out.

    Where one row cannot be read all are left out: asked for one by one, each tells its own story.
    """
    rows = TokenCache.objects.filter(Among("connection", connection_ids), access_expires_at__gt=now + LEAST_LEFT)
    try:
        return {pk: _opened(pk, envelope, "token") for pk, envelope in rows.values_list("pk", "access_envelope")}
    except (InvalidToken, OperatorProblem):
        return {}


def msal_cache(connection_id: int) -> str:
    """msal's serialized cache. Raises `ReconnectNeeded` where there is none."""
    envelope = _read(TokenCache.objects.filter(connection=connection_id), "envelope")
    if not envelope:
        raise ReconnectNeeded("sign_in_again")
    return _opened(connection_id, envelope, "cache")


def _read(rows: QuerySet[TokenCache], column: str) -> str:
    try:
        return rows.values_list(column, flat=True).first() or ""
    except InvalidToken as error:
        raise OperatorProblem("tokens_unreadable") from error


def _opened(connection_id: int, envelope: str, name: str) -> str:
    """An envelope that was moved here from another row is as good as unreadable."""
    content = json.loads(envelope)
    if content["connection"] != connection_id:
        raise OperatorProblem("tokens_unreadable")
    return str(content[name])
