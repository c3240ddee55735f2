"""What is wrong with the steps of a sequence, as sentences for its author."""

from collections.abc import Collection, Sequence
from itertools import pairwise

from accounts.models import Organization
from sequences import models
from sequences.models import Candidate, CandidateImport, Step
from sequences.planning import mailbox_of
from sequences.rendering import TOKENS, check_template

# Where the names of further columns are looked for: enough to know them all, few enough for any page.
IMPORTS_LOOKED_AT = 500
CANDIDATES_LOOKED_AT = 500  # the newest
OWN_COLUMN = "token:"  # so an import writes down a column that becomes a token of its own


def order_complaints(steps: Sequence[Step], sequence: "models.Sequence") -> list[str]:
    """What does not follow on what comes before. `steps` in their order, with `connection` loaded."""
    complaints = []
    if steps and steps[0].kind == Step.Kind.REPLY:
        complaints.append("Step 1 cannot be a reply: there is nothing to reply to yet. Make it a new thread.")
    for before, step in pairwise(steps):
        if step.kind == Step.Kind.REPLY and mailbox_of(before, sequence) != mailbox_of(step, sequence):
            complaints.append(
                f"Step {step.position} replies to an email that leaves from another mailbox. "
                "Send both from the same one, or make it a new thread."
            )
    return complaints


def text_complaints(step: Step, known: Collection[str]) -> list[str]:
    """What keeps the text of a step from being sent."""
    complaints = []
    if step.kind == Step.Kind.NEW_THREAD and not step.subject.strip():
        complaints.append("There is no subject yet. Write one.")
    if not step.body.strip():
        complaints.append("There is no text yet. Write it.")
    return complaints + check_template(step.subject, known) + check_template(step.body, known)


def known_tokens(organization: Organization) -> list[str]:
    """The tokens that texts may use: the usual ones, and the further columns that candidates came with."""
    further: set[str] = set()
    candidates = Candidate.objects.filter(organization=organization).order_by("-created_at", "-id")
    for fields in candidates.values_list("fields", flat=True)[:CANDIDATES_LOOKED_AT]:
        further |= fields.keys()
    imports = CandidateImport.objects.filter(organization=organization).order_by("-created_at")
    for columns in imports.values_list("columns", flat=True)[:IMPORTS_LOOKED_AT]:
        fields = [str(column.get("field", "")) for column in columns]
        further |= {field.removeprefix(OWN_COLUMN) for field in fields if field.startswith(OWN_COLUMN)}
    return [*TOKENS, *sorted(further - TOKENS.keys())]
