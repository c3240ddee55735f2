"""People, mailboxes, sequences and enrollments in bulk. Wants Django set up."""

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.conf import settings
from django.db import connection as database

from accounts.models import Organization, User
from mailconnect import vault
from mailconnect.microsoft.identity import GRAPH_SCOPES, SCOPES, TokenAnswer
from mailconnect.models import DelegationGrant, MailConnection
from sequences.models import Candidate, Enrollment, Sequence, Step

BODY = (
    '<p>Hello {{ first_name | default: "there" }},</p><p>your work at {{ company | default: "your company" }} has '
    "caught our eye. We build tools for people who build things, and we think that you would like it here.</p>"
    + "<p>Would you have a quarter of an hour this week or next? I would be glad to tell you more about it.</p>" * 6
    + "<p>Kind regards<br>{{ sender_name }}</p>"
)


@dataclass(frozen=True)
class Crowd:
    """An organization whose mailboxes each have one sequence."""

    organization: Organization
    owners: list[User]
    connections: list[MailConnection]
    sequences: list[Sequence]


def crowd(*, mailboxes: int, now: datetime, delegated: bool = False, steps: int = 1, tokens: bool = True) -> Crowd:
    """`delegated`: each sequence belongs to a colleague of the mailbox's owner, who holds a grant."""
    tag = uuid.uuid4().hex[:8]
    organization = Organization.objects.create(name=f"Crowd {tag}")
    owners = User.objects.bulk_create(
        User(email=f"owner{n}-{tag}@demo.example", name=f"Owner {n}", organization=organization, password="!")
        for n in range(mailboxes)
    )
    connections = MailConnection.objects.bulk_create(_mailbox(owner, now) for owner in owners)
    senders = owners[1:] + owners[:1] if delegated else owners
    if delegated:
        DelegationGrant.objects.bulk_create(
            DelegationGrant(connection=connection, grantee=sender, granted_by=connection.owner)
            for connection, sender in zip(connections, senders, strict=True)
        )
    for connection in connections if tokens else []:
        give_tokens(connection, now)
    sequences = Sequence.objects.bulk_create(
        _sequence(connection, sender, now) for connection, sender in zip(connections, senders, strict=True)
    )
    Step.objects.bulk_create(
        Step(
            sequence=sequence,
            position=position,
            delay=30 * (position - 1),
            subject="A word, {{ first_name }}?",
            body=BODY,
        )
        for sequence in sequences
        for position in range(1, steps + 1)
    )
    return Crowd(organization, owners, connections, sequences)


def _mailbox(owner: User, now: datetime) -> MailConnection:
    return MailConnection(
        organization=owner.organization,
        owner=owner,
        address=owner.email,
        tenant_id="11111111-1111-4111-8111-111111111111",
        object_id=str(uuid.uuid4()),
        spacing_seconds=0,
        daily_limit=1_000_000,
        settings_read_at=now + timedelta(days=1),
        due_at=now,
    )


def _sequence(connection: MailConnection, sender: User, now: datetime) -> Sequence:
    return Sequence(
        organization=connection.organization,
        owner=sender,
        name=f"From {connection.address}",
        connection=connection,
        state=Sequence.State.ACTIVE,
        activated_at=now,
        window_days="1234567",
        window_from=time(0, 0),
        window_until=time(23, 59, 59, 999999),
    )


def give_tokens(connection: MailConnection, now: datetime, *, seconds: int = 24 * 3600) -> None:
    """The stand-in takes the bearer token for the mailbox's name, and the refresh token too."""
    name = f"box-{connection.pk}"
    tokens = TokenAnswer(access_token=name, expires_in=seconds, cache=_msal_cache(name), scopes=frozenset(GRAPH_SCOPES))
    vault.store(connection_id=connection.pk, tokens=tokens, now=now)


def _msal_cache(refresh_token: str) -> str:
    """What msal keeps after somebody has signed in: the account, and the refresh token."""
    host, account = settings.MICROSOFT_LOGIN_HOST, f"{refresh_token}.standin"
    common = {"home_account_id": account, "environment": host}
    entry = {"credential_type": "RefreshToken", "client_id": settings.MICROSOFT_CLIENT_ID, "secret": refresh_token}
    identity = {"realm": "standin", "local_account_id": refresh_token, "username": "", "authority_type": "MSSTS"}
    return json.dumps(
        {
            "Account": {f"{account}-{host}-standin": {**common, **identity}},
            "RefreshToken": {f"{account}-{host}-refreshtoken": {**common, **entry, "target": " ".join(SCOPES)}},
        }
    )


def enroll(people: Crowd, *, each: int, due_at: datetime) -> None:
    """`each` candidates in every sequence, all due then."""
    tag = uuid.uuid4().hex[:8]
    total = each * len(people.sequences)
    candidates = Candidate.objects.bulk_create(
        (
            Candidate(
                organization=people.organization,
                email=f"c{n}-{tag}@candidates.example",
                first_name=f"Kim {n}",
                last_name="Candidate",
                company=f"Company {n % 997}",
            )
            for n in range(total)
        ),
        batch_size=2000,
    )
    rows = zip(_each(people.sequences, each), candidates, strict=True)
    Enrollment.objects.bulk_create(
        (
            Enrollment(
                sequence=sequence,
                candidate=candidate,
                connection=sequence.connection,
                enrolled_by=sequence.owner,
                due_at=due_at,
            )
            for sequence, candidate in rows
        ),
        batch_size=2000,
    )
    MailConnection.objects.filter(pk__in=[connection.pk for connection in people.connections]).update(due_at=due_at)


def _each(sequences: Iterable[Sequence], each: int) -> Iterable[Sequence]:
    return (sequence for sequence in sequences for _ in range(each))


def enroll_millions(people: Crowd, *, total: int, due_at: datetime, only: Sequence | None = None) -> None:
    """As `enroll`, by SQL alone, spread over all sequences (or into `only`): half due, half in three days."""
    tag = uuid.uuid4().hex[:8]
    postgresql = database.vendor == "postgresql"
    series = "generate_series(1, %s) AS g(n)" if postgresql else (
        "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %s) SELECT n FROM s)"
    )  # fmt: skip
    empty = "'{}'::jsonb" if postgresql else "'{}'"
    first = Candidate.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    chosen = [only] if only else people.sequences
    # One statement made all of them, so their ids follow each other.
    places = (chosen[0].pk, chosen[0].connection_id, chosen[0].owner_id)
    count = len(chosen)
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sequences_candidate (organization_id, email, first_name, last_name, company, role_title, "
            f"time_zone, fields, created_at) SELECT %s, 'c' || n || '-{tag}@candidates.example', 'Kim ' || n, "
            f"'Candidate ' || (n %% 1000), 'Company ' || (n %% 997), 'Engineer', '', {empty}, %s FROM {series}",
            [people.organization.pk, due_at, total],
        )
        cursor.execute(
            "INSERT INTO sequences_enrollment (sequence_id, candidate_id, connection_id, enrolled_by_id, state, "
            "reason, detail, next_position, due_at, created_at) "
            "SELECT %s + id %% %s, id, %s + id %% %s, %s, 'active', '', '', 1, "
            "CASE WHEN ((id - %s) / %s) %% 2 = 0 THEN %s ELSE %s END, %s FROM sequences_candidate WHERE id > %s",
            [
                places[0],
                count,
                places[1],
                count,
                places[2],
                first + 1,
                count,
                due_at,
                due_at + timedelta(days=3),
                due_at,
                first,
            ],
        )
        cursor.execute("ANALYZE")
    MailConnection.objects.filter(pk__in=[one.connection_id for one in chosen]).update(due_at=due_at)
