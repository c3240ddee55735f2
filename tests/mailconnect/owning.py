"""A connected mailbox without a sign-in, for tests that begin after one."""

import uuid
from datetime import datetime, timedelta

from accounts.models import User
from mailconnect import vault
from mailconnect.microsoft.identity import GRAPH_SCOPES, TokenAnswer
from mailconnect.models import DelegationGrant, MailConnection

TENANT = "11111111-1111-4111-8111-111111111111"
ACCESS_TOKEN = "an-access-token"


def connected(owner: User, now: datetime, *, left: timedelta = timedelta(hours=1)) -> MailConnection:
    """`owner`'s mailbox with an access token that has `left` to live."""
    connection = MailConnection.objects.create(
        organization=owner.organization,
        owner=owner,
        address=owner.email,
        tenant_id=TENANT,
        object_id=str(uuid.uuid4()),
        connected_at=now,
    )
    tokens = TokenAnswer(
        access_token=ACCESS_TOKEN,
        expires_in=int(left.total_seconds()),
        cache="{}",
        scopes=frozenset(GRAPH_SCOPES),
    )
    vault.store(connection_id=connection.pk, tokens=tokens, now=now)
    return connection


def granted(connection: MailConnection, grantee: User | None) -> DelegationGrant:
    return DelegationGrant.objects.create(connection=connection, grantee=grantee, granted_by=connection.owner)
