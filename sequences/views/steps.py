"""Pages of a sequence's steps: see them in order, write one, look at it as a candidate will."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sequences import access, editing, previewing
from sequences.access import MemberRequest
from sequences.activating import ActivationRefused
from sequences.checking import known_tokens, text_complaints
from sequences.editing import EditRefused
from sequences.forms import PreviewForm, StepForm
from sequences.models import Candidate, Sequence, Step
from sequences.previewing import Preview
from sequences.rendering import TOKENS
from sequences.views.head import head, row_id

Refusals = (EditRefused, ActivationRefused)


@require_GET
@login_required
def steps_page(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_sequence(request.user, pk)
    known = known_tokens(sequence.organization)
    steps = [(step, text_complaints(step, known)) for step in sequence.steps.select_related("connection")]
    context = {"steps": steps, **head(request.user, sequence, "steps")}
    return render(request, "sequences/steps.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def new_step(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_own_sequence(request.user, pk)
    follows = sequence.steps.exists()
    kind = Step.Kind.REPLY if follows else Step.Kind.NEW_THREAD
    return _write(request, sequence, Step(sequence=sequence, kind=kind, delay=3 if follows else 0))


@require_http_methods(["GET", "POST"])
@login_required
def edit_step(request: MemberRequest, pk: int, step_pk: int) -> HttpResponse:
    step = access.get_own_step(request.user, pk, step_pk)
    return _write(request, step.sequence, step)


def _write(request: MemberRequest, sequence: Sequence, step: Step) -> HttpResponse:
    """The editor. Its Preview button works without JavaScript too: it shows the page again, with nothing kept."""
    now = timezone.now()
    form = StepForm(sequence=sequence, now=now, instance=step, data=request.POST or None)
    if request.method == "POST" and "preview" not in request.POST and form.is_valid():
        try:
            if step.pk:
                editing.save_step(step=form.save(commit=False), actor=request.user, now=now)
            else:
                editing.add_step(sequence=sequence, step=form.save(commit=False), actor=request.user, now=now)
        except Refusals as refusal:
            form.add_error(None, str(refusal))
        else:
            _tell_saved(request, step, form.known)
            return redirect("sequences:steps", sequence.pk)
    context = {
        "form": form,
        "step": step,
        "sequence": sequence,
        "tokens": _token_menu(form.known),
        "candidates": previewing.choices(sequence),
        "preview": _preview(request, sequence, step) if "preview" in request.POST else None,
    }
    return render(request, "sequences/step.html", context)


def _tell_saved(request: MemberRequest, step: Step, known: list[str]) -> None:
    """A draft may be unfinished, but nobody should find that out only when they activate it."""
    if complaints := text_complaints(step, known):
        messages.warning(request, f"Step {step.position} is saved, and not finished. {' '.join(complaints)}")
    else:
        messages.success(request, f"Step {step.position} is saved.")


@require_POST
@login_required
def preview_step(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_own_sequence(request.user, pk)
    position = row_id(request.POST.get("position")) or 0
    preview = _preview(request, sequence, Step(sequence=sequence, position=min(position, editing.STEPS_MOST)))
    return render(request, "sequences/_preview.html", {"preview": preview})


@require_POST
@login_required
def move_step(request: MemberRequest, pk: int, step_pk: int) -> HttpResponse:
    step = access.get_own_step(request.user, pk, step_pk)
    try:
        up = request.POST.get("direction") != "down"
        editing.move_step(step=step, up=up, actor=request.user, now=timezone.now())
    except Refusals as refusal:
        messages.error(request, str(refusal))
    return redirect("sequences:steps", pk)


@require_POST
@login_required
def delete_step(request: MemberRequest, pk: int, step_pk: int) -> HttpResponse:
    step = access.get_own_step(request.user, pk, step_pk)
    try:
        editing.delete_step(step=step, actor=request.user, now=timezone.now())
    except Refusals as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "The step is deleted.")
    return redirect("sequences:steps", pk)


def _preview(request: MemberRequest, sequence: Sequence, step: Step) -> Preview | None:
    """None: what was sent is no email, for example far too long."""
    form = PreviewForm(request.POST)
    if not form.is_valid():
        return None
    shown = Step(
        sequence=sequence,
        position=step.position,
        kind=Step.Kind.REPLY if request.POST.get("kind") == Step.Kind.REPLY else Step.Kind.NEW_THREAD,
        subject=form.cleaned_data["subject"],
        body=form.cleaned_data["body"],
    )
    senders = access.senders(sequence.owner, timezone.now(), sequence, step)
    connection = senders.filter(pk=form.cleaned_data["connection"]).first() or sequence.connection
    candidate = _candidate(request, form.cleaned_data["candidate"], sequence)
    return previewing.preview(sequence=sequence, step=shown, connection=connection, candidate=candidate)


def _candidate(request: MemberRequest, pk: int | None, sequence: Sequence) -> Candidate:
    return access.get_candidate(request.user, pk) if pk else previewing.choices(sequence)[0]


def _token_menu(known: list[str]) -> list[tuple[str, str]]:
    """Per token what it is called and what is inserted. A first name is often missing, so it brings its default."""
    written = {name: f"{{{{ {name} }}}}" for name in known} | {"first_name": '{{ first_name | default: "there" }}'}
    return [(TOKENS.get(name, name.replace("_", " ").capitalize()), written[name]) for name in known]
