"""Pages of sequences: all of them, one of them, a new one; start, pause, archive."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mailconnect.models import MailConnection
from sequences import access, activating, editing, forecasting, reporting
from sequences.access import MemberRequest
from sequences.activating import ActivationRefused
from sequences.editing import EditRefused
from sequences.forms import ScheduleForm, SequenceForm
from sequences.models import Enrollment, Sequence
from sequences.planning import mailbox_of
from sequences.reasons import HELD, STOPPED
from sequences.scheduling import Window
from sequences.views.head import TONES, head, row_id
from sequences.windows import describe, describe_days, window_for

PER_PAGE = 50
NEEDING_SHOWN = 10
DAYS_SHOWN = 30


@require_GET
@login_required
def list_page(request: MemberRequest) -> HttpResponse:
    """Everyone's sequences, or one's own; the archived ones only when asked for."""
    state, whose = request.GET.get("state", ""), request.GET.get("whose", "")
    found = Sequence.objects.of(request.user).select_related("owner", "connection").order_by("-created_at", "-pk")
    found = found.filter(state=state) if state in Sequence.State else found.exclude(state=Sequence.State.ARCHIVED)
    if whose == "mine":
        found = found.filter(owner=request.user)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    needing = reporting.needing(request.user).order_by("-created_at")[:NEEDING_SHOWN]
    context = {
        "page": page,
        "rows": [(line, TONES[line.sequence.state]) for line in reporting.lines(page.object_list)],
        "needing": reporting.lines(needing),
        "state": state,
        "whose": whose,
        "states": Sequence.State.choices,
        "may_send": MailConnection.objects.usable_by(request.user, timezone.now()).exists(),
        "any_at_all": bool(page.object_list) or Sequence.objects.of(request.user).exists(),
    }
    return render(request, "sequences/list.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def new(request: MemberRequest) -> HttpResponse:
    now = timezone.now()
    form = SequenceForm(user=request.user, now=now, data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        sequence = editing.create(sequence=form.save(commit=False), owner=request.user, now=now)
        return redirect("sequences:steps", sequence.pk)
    return render(request, "sequences/new.html", {"form": form})


@require_GET
@login_required
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    """The enrollments: each one's state and reason, its next step, and when that is due."""
    sequence = access.get_sequence(request.user, pk)
    state = request.GET.get("state", "")
    found = Enrollment.objects.filter(sequence=sequence).select_related("candidate")
    page = reporting.page(
        found.filter(state=state) if state in Enrollment.State else found,
        before=row_id(request.GET.get("before")),
        after=row_id(request.GET.get("after")),
    )
    context = {
        "page": page,
        "rows": [(enrollment, _why(enrollment)) for enrollment in page.rows],
        "state": state,
        "states": Enrollment.State.choices,
        "can_continue": activating.CAN_CONTINUE,
        "steps_written": sequence.steps.count(),
        "held": _held(sequence) if state == Enrollment.State.HELD else [],
        **head(request.user, sequence, "detail"),
    }
    return render(request, "sequences/detail.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def settings(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_own_sequence(request.user, pk)
    form = SequenceForm(user=sequence.owner, now=timezone.now(), instance=sequence, data=request.POST or None)
    if _saved(request, sequence, form):
        return redirect("sequences:detail", pk)
    return render(request, "sequences/settings.html", {"form": form, "sequence": sequence})


@require_http_methods(["GET", "POST"])
@login_required
def hours(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_own_sequence(request.user, pk)
    form = ScheduleForm(inherited=_inherited(sequence), instance=sequence, data=request.POST or None)
    if _saved(request, sequence, form):
        return redirect("sequences:dry_run", pk)
    return render(request, "sequences/hours.html", {"form": form, "sequence": sequence})


def _saved(request: MemberRequest, sequence: Sequence, form: SequenceForm | ScheduleForm) -> bool:
    """Keep what was filled in; a refusal is said in the form."""
    if request.method != "POST" or not form.is_valid():
        return False
    try:
        now = timezone.now()
        editing.save_settings(sequence=sequence, changed=form.changed_data, actor=request.user, now=now)
    except (EditRefused, ActivationRefused) as refusal:
        form.add_error(None, str(refusal))
        return False
    messages.success(request, "Saved.")
    return True


@require_GET
@login_required
def dry_run(request: MemberRequest, pk: int) -> HttpResponse:
    """When it may send, and the dry run: every email to come, as far as a page can show them."""
    sequence = access.get_sequence(request.user, pk)
    context = head(request.user, sequence, "dry_run")
    found = forecasting.forecast(sequence=sequence, now=timezone.now())
    bars = found.bars()
    mailboxes = {mailbox_of(step, sequence) for step in sequence.steps.select_related("connection")}
    context |= {
        "hours": [(mailbox, describe(_hours_of(sequence, mailbox))) for mailbox in mailboxes or {sequence.connection}],
        "missing": activating.missing(sequence, timezone.now()) if sequence.state != Sequence.State.ACTIVE else [],
        "forecast": found,
        "bars": bars[:DAYS_SHOWN],
        "bars_left": len(bars[DAYS_SHOWN:]),
    }
    return render(request, "sequences/dry_run.html", context)


@require_POST
@login_required
def activate(request: MemberRequest, pk: int) -> HttpResponse:
    """Activate, or resume. Refused, it shows the list of what is missing."""
    sequence = access.get_own_sequence(request.user, pk)
    try:
        started = activating.start(sequence=sequence, actor=request.user, now=timezone.now())
    except ActivationRefused as refusal:
        context = {"missing": refusal.missing, "sequence": sequence}
        return render(request, "sequences/not_activated.html", context, status=409)
    if started.starting_at:
        messages.info(request, "The times of all emails are being planned. Then the sequence runs by itself.")
    elif started.state == Sequence.State.ACTIVE:
        messages.success(request, f"“{started.name}” is active.")
        _remark(request, sequence)
    return redirect("sequences:detail", pk)


@require_POST
@login_required
def pause(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_own_sequence(request.user, pk)
    activating.pause(sequence=sequence, actor=request.user, now=timezone.now())
    messages.success(request, f"“{sequence.name}” is paused. Nothing of it leaves until you resume it.")
    return redirect("sequences:detail", pk)


@require_POST
@login_required
def archive(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_own_sequence(request.user, pk)
    activating.archive(sequence=sequence, actor=request.user, now=timezone.now())
    messages.success(request, f"“{sequence.name}” is archived.")
    return redirect("sequences:list")


@require_POST
@login_required
def unarchive(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_own_sequence(request.user, pk)
    activating.unarchive(sequence=sequence, actor=request.user, now=timezone.now())
    messages.success(request, f"“{sequence.name}” is back. It does not send before you start it.")
    return redirect("sequences:detail", pk)


def _remark(request: MemberRequest, sequence: Sequence) -> None:
    """What does not keep a sequence from running, but its owner should know."""
    found = forecasting.forecast(sequence=access.get_sequence(request.user, sequence.pk), now=timezone.now())
    if not found.looked_at:
        messages.info(request, "Nobody is in it yet. Add candidates, and their emails leave by themselves.")
    if found.incomplete_total:
        count = found.incomplete_total
        told = "emails lack a value and are" if count > 1 else "email lacks a value and is"
        messages.warning(request, f"{count:,} {told} held back; the dry run names them. The others leave.")


def _inherited(sequence: Sequence) -> dict[str, str]:
    """What holds where the sequence says nothing of its own."""
    silent = Sequence(in_candidate_time=False)
    window = window_for(sequence=silent, connection=sequence.connection, organization=sequence.organization)
    return {
        "time_zone": window.zone.key,
        "window_days": describe_days(window.days),
        "hours": f"{window.start:%H:%M}–{window.end:%H:%M}",
        "all": describe(window),
    }


def _hours_of(sequence: Sequence, mailbox: MailConnection | None) -> Window:
    return window_for(sequence=sequence, connection=mailbox, organization=sequence.organization)


def _why(enrollment: Enrollment) -> tuple[str, str] | None:
    return HELD.get(enrollment.reason) or STOPPED.get(enrollment.reason)


def _held(sequence: Sequence) -> list[dict[str, object]]:
    """Per reason how many wait for a person, and whether all of them can go on with one word."""
    return [
        {"reason": reason, "count": count, "why": HELD.get(reason), "can_continue": reason in activating.CAN_CONTINUE}
        for reason, count in reporting.held_reasons(sequence).items()
    ]
