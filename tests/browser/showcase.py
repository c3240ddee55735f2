"""One organization in which there is something of everything, so that every page can be looked at with content."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from accounts import inviting, leaving
from accounts.auditing import record
from accounts.models import User
from accounts.notifying import notify
from mailconnect import receipts
from mailconnect.models import DelegationGrant, DelegationRequest, FirstEmailApproval, MailConnection
from sequences.models import Candidate, CandidateImport, Enrollment, IncomingMail, Message, Sequence, Step, Suppression
from tests.mailconnect.owning import connected
from tests.sequences.making import add_step, message_of, sequence_of
from tests.sequences.uploading import uploaded

FIRST = """<p>Hi {{ first_name | default: "there" }},</p><p>your work at {{ company }} caught my eye. We are building a
small platform team in Berlin. Would you have fifteen minutes this week?</p><p>Alice</p>"""
NAMES = (
    ("Maya", "Lind", "Northwind", "Platform Engineer"),
    ("Jonas", "Weber", "Fabrikam", "Site Reliability Engineer"),
    ("Priya", "Nair", "Contoso", "Backend Engineer"),
    ("Tomás", "Alvarez-Echeverría", "Wide World Importers", "Principal Engineer, Developer Productivity"),
    ("Aiko", "Tanaka", "Adatum", "Data Engineer"),
    ("Sam", "", "", ""),
)


@dataclass(frozen=True, kw_only=True)
class Showcase:
    """What the addresses of pages are made from."""

    connection: MailConnection
    grant: DelegationGrant
    request: DelegationRequest
    first_email: FirstEmailApproval
    sequence: Sequence
    draft: Sequence
    paused: Sequence
    step: Step
    candidate: Candidate
    message: Message
    previewed: CandidateImport
    imported: CandidateImport
    deactivated: User


def fill(alice: User, bob: User, carol: User, ada: User, now: datetime) -> Showcase:
    """Alice owns a mailbox, Bob may send from it, Carol asks to, Ada is the admin."""
    connection = connected(alice, now - timedelta(days=40))
    grant = DelegationGrant.objects.create(
        connection=connection,
        grantee=bob,
        granted_by=alice,
        expires_at=now + timedelta(days=30),
        daily_cap=40,
        approve_first_email=True,
        created_at=now - timedelta(days=9),
    )
    request = DelegationRequest.objects.create(
        connection=connection, requester=carol, note="For the data team.", lapses_at=now + timedelta(days=13)
    )
    people = _candidates(ada)
    sequence = _running(alice, connection, people, now)
    _answered(sequence, now)
    bobs = sequence_of(bob, connection, name="Engineering managers", steps=1, state="active", activated_at=now)
    shown = _left(bobs, people[0], now, grant=grant)
    paused = sequence_of(
        alice, connection, name="Data team, spring", steps=3, state="paused", paused_reason="mailbox_reconnect"
    )
    draft = sequence_of(alice, None, name="Designers (a longer name that has to wrap somewhere on a phone)", steps=1)
    _tell(alice, ada, now)
    previewed, imported = _imports(alice, now)
    first_step = sequence.steps.get(position=1)
    return Showcase(
        connection=connection,
        grant=grant,
        request=request,
        first_email=FirstEmailApproval.objects.create(grant=grant, sequence_id=bobs.pk, message_key=shown.key),
        sequence=sequence,
        draft=draft,
        paused=paused,
        step=first_step,
        candidate=people[0],
        message=Message.objects.get(sequence=sequence, enrollment__candidate=people[0], step=first_step),
        previewed=previewed,
        imported=imported,
        deactivated=_leaver(ada, now),
    )


def _candidates(ada: User) -> list[Candidate]:
    people = [
        Candidate(
            organization=ada.organization,
            email=f"{first.lower().replace('á', 'a')}@{(company or 'mail').split()[0].lower()}.example",
            first_name=first,
            last_name=last,
            company=company,
            role_title=role,
            time_zone="Asia/Tokyo" if first == "Aiko" else "",
            fields={"language": "Rust"} if first == "Maya" else {},
        )
        for first, last, company, role in NAMES
    ]
    Suppression.objects.create(organization=ada.organization, email=people[4].email, reason="opt_out")
    return Candidate.objects.bulk_create(people)


def _running(alice: User, connection: MailConnection, people: list[Candidate], now: datetime) -> Sequence:
    """Candidates in every state, and emails in most."""
    sequence = sequence_of(
        alice, connection, name="Platform engineers, Berlin", steps=0, state="active", activated_at=now
    )
    add_step(sequence, 1, subject="A question, {{ first_name }}", body=FIRST)
    add_step(sequence, 2, delay=3, delay_unit="business_days")
    add_step(sequence, 3, delay=1, delay_unit="days")
    states: list[dict[str, Any]] = [
        {"state": "active", "next_position": 2, "due_at": now + timedelta(days=2), "last_sent_at": now},
        {"state": "active", "next_position": 1, "due_at": now + timedelta(minutes=20)},
        {"state": "held", "reason": "missing_value", "detail": "company"},
        {"state": "stopped", "reason": "replied", "next_position": 3},
        {"state": "stopped", "reason": "bounced", "next_position": 2},
        {"state": "finished", "next_position": 4},
    ]
    for person, fields in zip(people, states, strict=True):
        Enrollment.objects.create(
            sequence=sequence, candidate=person, connection=connection, enrolled_by=alice, **fields
        )
    for person, state in zip(people, ("sent", "drafted", "refused", "sent", "failed", "unknown"), strict=True):
        if state == "sent":
            _left(sequence, person, now)
        else:
            enrollment = Enrollment.objects.get(sequence=sequence, candidate=person)
            message_of(enrollment, sequence.steps.get(position=1), state, now, reason=_reason(state))
    return sequence


def _answered(sequence: Sequence, now: datetime) -> None:
    """One answer of each kind."""
    said = {
        "reply": (
            "Thanks for writing! I would like to hear more; call me on Thursday.",
            "nothing in it looks automatic",
        ),
        "auto_reply": ("I am out of the office until 3 December.", "the header Auto-Submitted is auto-replied"),
        "opt_out": ("Please remove me", "all that it says is “remove me”"),
        "bounce": ("", "its class is REPORT.IPM.Note.NDR and says that delivery failed 5.1.1"),
        "other": ("", "its class is REPORT.IPM.Note.Delayed and says that delivery is only delayed 4.4.7"),
    }
    for message, (kind, (preview, because)) in zip(sequence.messages.order_by("pk"), said.items(), strict=False):
        IncomingMail.objects.create(
            organization=sequence.organization,
            connection=message.connection,
            message=message,
            enrollment=message.enrollment,
            sequence=sequence,
            internet_message_id=f"<{kind}@talent.example>",
            received_at=now - timedelta(hours=2),
            from_address=message.to_address,
            subject="Re: A question",
            preview=preview,
            kind=kind,
            because=because,
        )


def _reason(state: str) -> str:
    return {"refused": "no_permission", "failed": "recipient_refused", "unknown": "outcome_unknown"}.get(state, "")


def _left(sequence: Sequence, person: Candidate, now: datetime, **fields: Any) -> Message:
    enrollment, _ = Enrollment.objects.get_or_create(
        sequence=sequence,
        candidate=person,
        defaults={"connection": sequence.connection, "enrolled_by": sequence.owner, "due_at": now},
    )
    body = f"<p>Hi {person.first_name},</p><p>your work at {person.company} caught my eye.</p>"
    return message_of(
        enrollment,
        sequence.steps.get(position=1),
        "sent",
        now - timedelta(hours=5),
        planned_at=now - timedelta(hours=5, minutes=2),
        drafted_at=now - timedelta(hours=5, minutes=1),
        sending_at=now - timedelta(hours=5),
        accepted_at=now - timedelta(hours=5),
        sent_at=now - timedelta(hours=5),
        subject=f"A question, {person.first_name}",
        body_html=body,
        body_hash=receipts.body_hash(f"A question, {person.first_name}", body),
        **fields,
    )


def _tell(alice: User, ada: User, now: datetime) -> None:
    for user in (alice, ada):
        notify(
            user=user,
            kind="sequence_paused",
            title="“Data team, spring” is paused",
            text="The mailbox it sends from needs reconnecting. Its owner has been told.",
            url="/sequences/",
            now=now - timedelta(hours=3),
        )
        record(
            organization=ada.organization, actor=ada, action="grant.revoked", target=user, now=now, sequences_paused=2
        )
    record(organization=ada.organization, actor=None, action="mailbox.needs_reconnecting", target=alice, now=now)
    inviting.invite(organization=ada.organization, email="dora@demo.example", role="member", invited_by=ada, now=now)


def _imports(alice: User, now: datetime) -> tuple[CandidateImport, CandidateImport]:
    previewed = uploaded(
        alice, now, "zoe@example.com,Zoe,Zimmer,Contoso,Europe/Berlin,zoe", "not an address,Yan,,,,", waiting=False
    )
    imported = CandidateImport.objects.create(
        state="done",
        rows=120,
        rows_read=120,
        created=100,
        updated=18,
        refused=2,
        refusals=[[3, "not_an_address", "not an address"], [7, "no_address", ""]],
        started_at=now,
        finished_at=now,
        organization=alice.organization,
        user=alice,
        file_name="fair-berlin-2026.csv",
        columns=previewed.columns,
    )
    return previewed, imported


def _leaver(ada: User, now: datetime) -> User:
    user = User.objects.create_user("lea@demo.example", organization=ada.organization, name="Lea Leaver")
    leaving.deactivate(user=user, actor=ada, now=now)
    return user
