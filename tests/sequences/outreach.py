"""A sequence that is under way, in a mailbox of the sandbox: for tests of sending."""

import base64
import json
from collections.abc import Sequence as Many
from datetime import datetime, time, timedelta

import msal
from django.conf import settings

from accounts.models import User
from mailconnect import queue, vault
from mailconnect.microsoft.identity import GRAPH_SCOPES, TokenAnswer
from mailconnect.models import MailConnection
from sequences.models import Candidate, Enrollment, Sequence, Step
from tests.sandbox_tenant import SandboxTenant, SignedIn

ANY_TIME = {"window_days": "1234567", "window_from": time(0), "window_until": time(23, 59, 59, 999999)}
TEXT = "<p>Hello {{ first_name }}, we are hiring.</p>"


def connected(owner: User, tenant: SandboxTenant, now: datetime, signed_in: SignedIn | None = None) -> MailConnection:
    """`owner`'s mailbox, with the sandbox's own tokens, no distance between emails and settings just read."""
    found = signed_in or tenant.sign_in_tokens(owner.email)
    connection = MailConnection.objects.create(
        organization=owner.organization,
        owner=owner,
        address=owner.email,
        tenant_id=found.tenant_id,
        object_id=found.object_id,
        spacing_seconds=0,
        daily_limit=100_000,
        settings_read_at=now,
        connected_at=now,
    )
    tokens = TokenAnswer(
        access_token=found.access_token,
        expires_in=found.expires_in,
        cache=msal_cache(found),
        scopes=frozenset(GRAPH_SCOPES),
    )
    vault.store(connection_id=connection.pk, tokens=tokens, now=now)
    return connection


def msal_cache(found: SignedIn) -> str:
    """As msal keeps it after a sign-in, so that tokens can be refreshed."""
    cache = msal.SerializableTokenCache()
    about = json.dumps({"uid": found.object_id, "utid": found.tenant_id}).encode()
    cache.add(
        {
            "client_id": settings.MICROSOFT_CLIENT_ID,
            "scope": list(GRAPH_SCOPES),
            "token_endpoint": f"https://{settings.MICROSOFT_LOGIN_HOST}/organizations/oauth2/v2.0/token",
            "response": {
                "access_token": found.access_token,
                "refresh_token": found.refresh_token,
                "expires_in": found.expires_in,
                "client_info": base64.urlsafe_b64encode(about).decode().rstrip("="),
                "id_token_claims": {"oid": found.object_id, "tid": found.tenant_id, "sub": "s", "aud": "a"},
                "token_type": "Bearer",
            },
        }
    )
    return str(cache.serialize())


def active_sequence(owner: User, connection: MailConnection, steps: Many[str] = (TEXT,), **fields: object) -> Sequence:
    """Its first step is a new thread, the others are replies, due at once."""
    sequence = Sequence.objects.create(
        organization=owner.organization,
        owner=owner,
        name="Platform engineers",
        connection=connection,
        state=Sequence.State.ACTIVE,
        **(ANY_TIME | fields),
    )
    for position, body in enumerate(steps, start=1):
        Step.objects.create(
            sequence=sequence,
            position=position,
            kind=Step.Kind.REPLY if position > 1 else Step.Kind.NEW_THREAD,
            delay=0,
            delay_unit=Step.Unit.HOURS,
            subject="A role for {{ first_name }}" if position == 1 else "",
            body=body,
        )
    return sequence


def enrolled(sequence: Sequence, number: int, now: datetime, **fields: object) -> list[Enrollment]:
    """So many candidates, due since a minute ago; the mailbox's bell is rung."""
    first = Candidate.objects.count()
    candidates = Candidate.objects.bulk_create(
        Candidate(
            organization=sequence.organization,
            email=f"candidate{first + index}@talent.example",
            first_name=f"Casey{first + index}",
            last_name="Doe",
        )
        for index in range(number)
    )
    assert sequence.connection
    due_at = now - timedelta(minutes=1)
    values = {"connection": sequence.connection, "enrolled_by": sequence.owner, "due_at": due_at} | fields
    enrollments = Enrollment.objects.bulk_create(
        Enrollment(sequence=sequence, candidate=candidate, **values) for candidate in candidates
    )
    queue.ring([sequence.connection.pk], at=due_at)
    return enrollments
