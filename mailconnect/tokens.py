"""Access tokens for connected mailboxes, refreshed under a lease: one token call, however many workers need it."""

import time
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from mailconnect import ending, vault
from mailconnect.alarm import alarm_operator
from mailconnect.microsoft import identity
from mailconnect.microsoft.errors import MicrosoftUnavailable, OperatorProblem, ReconnectNeeded
from mailconnect.models import MailConnection, TokenCache

# Longer than the slowest refresh: discovery and token call, each with its connect and read timeout.
LEASE = timedelta(seconds=60)
# After a failure that time or the operator must mend, nobody asks again for this long.
COOL_DOWN = timedelta(seconds=10)
WAIT_SECONDS = 45.0
POLL_SECONDS = 0.1


def access_token(connection_id: int) -> str:
    """An access token with at least five minutes left; it may go to Microsoft, so never call it in a transaction.

    Raises `ReconnectNeeded` (the connection has been told so), `OperatorProblem` (the operator has been told so)
    or `MicrosoftUnavailable`.
    """
    return vault.fresh_access_token(connection_id, timezone.now()) or _renewed(connection_id)


def drop_access_token(connection_id: int, token: str) -> None:
    """Graph takes this token no longer: the next `access_token()` refreshes. A newer one stays."""
    now = timezone.now()
    seen = TokenCache.objects.filter(connection=connection_id).values_list("updated_at", flat=True).first()
    if seen and vault.fresh_access_token(connection_id, now) == token:
        row = TokenCache.objects.filter(connection=connection_id, updated_at=seen)
        row.update(access_envelope="", access_expires_at=None, updated_at=now)


def _renewed(connection_id: int) -> str:
    """Refresh, or wait while another worker does and take what it brings."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < give_up_at:
        owner = _lease(connection_id, timezone.now())
        if owner:
            return _refreshed(connection_id, owner)
        time.sleep(POLL_SECONDS)
        if token := vault.fresh_access_token(connection_id, timezone.now()):
            return token
    raise MicrosoftUnavailable("microsoft_unavailable")


def _lease(connection_id: int, now: datetime) -> UUID | None:
    """Take the right to refresh; None while another has it."""
    owner = uuid4()
    row = TokenCache.objects.filter(connection=connection_id)
    free = Q(refresh_until=None) | Q(refresh_until__lte=now)
    connected = Q(connection__in=MailConnection.objects.connected())
    if row.filter(free, connected).update(refresh_owner=owner, refresh_until=now + LEASE):
        return owner
    _raise_if_hopeless(connection_id)
    return None


def _raise_if_hopeless(connection_id: int) -> None:
    """Nothing to wait for: no tokens, a connection that needs its owner, or a refresh that has just failed."""
    connection = MailConnection.objects.select_related("token_cache").defer(
        "token_cache__envelope", "token_cache__access_envelope"
    )
    found = connection.filter(pk=connection_id).first()
    if found is None or not hasattr(found, "token_cache"):
        raise ReconnectNeeded("sign_in_again")
    if found.state != MailConnection.State.CONNECTED:
        raise ReconnectNeeded(found.reason)
    if found.token_cache.refresh_until and not found.token_cache.refresh_owner:
        raise MicrosoftUnavailable("microsoft_unavailable")


def _refreshed(connection_id: int, owner: UUID) -> str:
    try:
        if token := vault.fresh_access_token(connection_id, timezone.now()):
            _release(connection_id, owner, until=None)  # another has refreshed just before we got the lease
            return token
        tokens = identity.refresh(vault.msal_cache(connection_id))
    except ReconnectNeeded as refusal:
        _end_connection(connection_id, owner, refusal.reason)
        raise
    except OperatorProblem as problem:
        _release(connection_id, owner, until=timezone.now() + COOL_DOWN)
        alarm_operator(problem.reason, timezone.now())
        raise
    except MicrosoftUnavailable:
        _release(connection_id, owner, until=timezone.now() + COOL_DOWN)
        raise
    return _stored(connection_id, owner, tokens)


def _stored(connection_id: int, owner: UUID, tokens: identity.TokenAnswer) -> str:
    """Keep the rotated tokens, unless the mailbox was removed or connected anew while we asked."""
    row = TokenCache.objects.filter(connection=connection_id, refresh_owner=owner)
    if row.update(**vault.envelopes(connection_id, tokens, timezone.now())):
        return tokens.access_token
    if token := vault.fresh_access_token(connection_id, timezone.now()):
        return token
    raise ReconnectNeeded("sign_in_again")


def _release(connection_id: int, owner: UUID, *, until: datetime | None) -> None:
    """Give the lease back; with `until`, nobody else asks before then."""
    row = TokenCache.objects.filter(connection=connection_id, refresh_owner=owner)
    row.update(refresh_owner=None, refresh_until=until)


def _end_connection(connection_id: int, owner: UUID, reason: str) -> None:
    """The connection needs its owner: unless other tokens than the refused ones have come meanwhile."""
    now = timezone.now()
    with transaction.atomic():
        connection = MailConnection.objects.select_for_update(no_key=True).get(pk=connection_id)
        row = TokenCache.objects.filter(connection=connection_id, refresh_owner=owner)
        if row.update(refresh_owner=None, refresh_until=None, access_envelope="", access_expires_at=None):
            ending.needs_reconnecting(connection=connection, reason=reason, now=now)
