"""What an email will look like for one candidate: the same text as the mail itself, shown while it is written."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from accounts.models import User
from mailconnect.models import MailConnection
from sequences import models
from sequences.checking import known_tokens
from sequences.cleaning import clean_body, clean_subject, for_page
from sequences.models import Candidate, Enrollment, Step
from sequences.rendering import (
    MissingValue,
    Rendered,
    TemplateBroken,
    candidate_values,
    check_template,
    render,
    signature_of,
)

CHOICES = 25


@dataclass(frozen=True, kw_only=True)
class Preview:
    """An email as `candidate` will get it; or why there is none."""

    candidate: Candidate
    sender: str
    subject: str = ""
    html: str = ""
    complaints: Sequence[str] = field(default_factory=list)
    missing: str = ""  # the token that this candidate has no value for


def choices(sequence: "models.Sequence") -> list[Candidate]:
    """Candidates to look at: of the sequence, else of the organization, else an invented one."""
    enrolled = Enrollment.objects.filter(sequence=sequence).order_by("-id").select_related("candidate")[:CHOICES]
    found = [enrollment.candidate for enrollment in enrolled]
    found = found or list(Candidate.objects.filter(organization=sequence.organization).order_by("-id")[:CHOICES])
    return found or [example()]


def example() -> Candidate:
    return Candidate(
        first_name="Alex", last_name="Example", email="alex@example.com", company="Example Ltd", role_title="Engineer"
    )


def preview(
    *, sequence: "models.Sequence", step: Step, connection: MailConnection | None, candidate: Candidate
) -> Preview:
    """`step` need not be stored: it is what the editor shows at this moment."""
    sender = connection.owner if connection else sequence.owner
    told = Preview(candidate=candidate, sender=f"{sender.name} <{connection.address}>" if connection else sender.name)
    subject, body = _subject(step, sequence), clean_body(step.body)
    if complaints := _complaints(subject, body, known_tokens(sequence.organization)):
        return replace(told, complaints=complaints)
    try:
        rendered = _rendered(subject, body, candidate, sender, connection)
    except MissingValue as missing:
        return replace(told, missing=missing.token)
    except TemplateBroken as broken:
        return replace(told, complaints=[str(broken)])
    return replace(told, subject=rendered.subject, html=for_page(rendered.html))


def _complaints(subject: str, body: str, known: Collection[str]) -> list[str]:
    return [
        *(f"Subject. {complaint}" for complaint in check_template(subject, known)),
        *(f"Text. {complaint}" for complaint in check_template(body, known)),
    ]


def _rendered(
    subject: str, body: str, candidate: Candidate, sender: User, connection: MailConnection | None
) -> Rendered:
    signature = signature_of(connection) if connection else ""
    return render(subject, body, candidate_values(candidate, sender), signature)


def _subject(step: Step, sequence: "models.Sequence") -> str:
    """A reply has the subject of the thread that it is in."""
    if step.kind == Step.Kind.NEW_THREAD:
        return clean_subject(step.subject)
    threads = sequence.steps.filter(kind=Step.Kind.NEW_THREAD).order_by("-position")
    before = threads.filter(position__lt=step.position) if step.position else threads
    subject = before.values_list("subject", flat=True).first()
    return f"Re: {subject}" if subject else "Re:"
