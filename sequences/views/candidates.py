"""Pages of candidates: find them, add one, see what was written to one, enroll them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_q.tasks import async_task

from sequences import access, erasing, searching, suppressing
from sequences.access import MemberRequest
from sequences.candidate_forms import CandidateForm, own_tokens
from sequences.enrolling import BATCH, EnrollRefused, Outcome, enroll
from sequences.models import Candidate, CandidateImport, Message, Sequence
from sequences.reasons import HELD, STOPPED
from sequences.tasks import ring_soon

SHOWN = 50  # enrollments, messages and imports on one page


@require_GET
@login_required
def list_page(request: MemberRequest) -> HttpResponse:
    candidates = access.candidates_of(request.user)
    upload = _chosen_import(request)
    context = {
        "page": _page(candidates, request.GET, upload),
        "text": request.GET.get("q", "").strip(),
        "upload": upload,
        "sequences": access.sequences_to_enroll_into(request.user),
    }
    return render(request, "sequences/candidates/list.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def new(request: MemberRequest) -> HttpResponse:
    candidate = Candidate(organization=request.user.organization)
    return _edit(request, candidate, "sequences/candidates/new.html")


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: MemberRequest, pk: int) -> HttpResponse:
    candidate = get_object_or_404(access.candidates_of(request.user), pk=pk)
    return _edit(request, candidate, "sequences/candidates/edit.html")


@require_GET
@login_required
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    candidate = access.get_candidate(request.user, pk)
    enrollments = candidate.enrollments.select_related("sequence").order_by("-created_at")[:SHOWN]
    sent = Message.objects.filter(enrollment__candidate=candidate).select_related("sequence", "step", "connection")
    context = {
        "candidate": candidate,
        "enrollments": [(each, HELD.get(each.reason) or STOPPED.get(each.reason)) for each in enrollments],
        "emails": sent.order_by("-planned_at")[:SHOWN],
        "suppression": suppressing.suppressions_of(candidate).first(),
        "sequences": access.sequences_to_enroll_into(request.user),
    }
    return render(request, "sequences/candidates/detail.html", context)


@require_POST
@login_required
def suppress(request: MemberRequest, pk: int) -> HttpResponse:
    candidate = access.get_candidate(request.user, pk)
    stopped = suppressing.suppress(candidate=candidate, actor=request.user, now=timezone.now())
    sentence = f"Nobody in your organization writes to {candidate} any more."
    messages.success(request, sentence + (f" Stopped in {stopped} sequence{'s' * (stopped > 1)}." if stopped else ""))
    return redirect("sequences:candidate", pk)


@require_POST
@login_required
def allow_again(request: MemberRequest, pk: int) -> HttpResponse:
    candidate = access.get_candidate(request.user, pk)
    if suppressing.allow_again(candidate=candidate, actor=request.user, now=timezone.now()):
        messages.success(request, f"{candidate} can be written to again. Enroll them anew where they were stopped.")
    else:
        messages.error(request, "This cannot be taken back: the candidate asked for it, or the address bounced.")
    return redirect("sequences:candidate", pk)


@require_http_methods(["GET", "POST"])
@login_required
def erase(request: MemberRequest, pk: int) -> HttpResponse:
    candidate = get_object_or_404(access.candidates_of(request.user), pk=pk)
    if not request.user.is_admin:
        raise PermissionDenied("Only an admin can erase a candidate’s personal data.")
    if request.method == "GET":
        return render(request, "sequences/candidates/erase.html", {"candidate": candidate, "effects": erasing.EFFECTS})
    try:
        erasing.erase(candidate=candidate, actor=request.user, now=timezone.now())
    except erasing.EraseRefused as refused:
        messages.error(request, str(refused))
        return redirect("sequences:candidate", pk)
    messages.success(request, "The personal data is erased.")
    return redirect("sequences:candidates")


@require_POST
@login_required
def enroll_selected(request: MemberRequest) -> HttpResponse:
    """From the list, or from one candidate's page."""
    chosen = _number(request.POST.get("sequence"))
    if chosen is None:
        messages.error(request, "Choose the sequence first.")
        return redirect("sequences:candidates")
    return _enroll(request, access.get_own_sequence(request.user, chosen), _chosen_ids(request))


@require_http_methods(["GET", "POST"])
@login_required
def enroll_page(request: MemberRequest, pk: int) -> HttpResponse:
    """From a sequence's page: choose candidates for it, one by one or all of an import."""
    sequence = access.get_own_sequence(request.user, pk)
    if request.method == "POST":
        return _enroll(request, sequence, _chosen_ids(request))
    upload = _chosen_import(request)
    candidates = access.candidates_of(request.user)
    page = _page(candidates, request.GET, upload)
    enrolled = sequence.enrollments.filter(candidate__in=[candidate.pk for candidate in page.candidates])
    context = {
        "sequence": sequence,
        "page": page,
        "text": request.GET.get("q", "").strip(),
        "upload": upload,
        "enrolled": set(enrolled.values_list("candidate_id", flat=True)),
        "uploads": access.imports_of(request.user).filter(state="done").order_by("-created_at")[:SHOWN],
    }
    return render(request, "sequences/candidates/enroll.html", context)


@require_POST
@login_required
def enroll_import(request: MemberRequest, pk: int) -> HttpResponse:
    """All candidates of an import. A small one at once, a large one in the background."""
    sequence = access.get_own_sequence(request.user, pk)
    upload = access.get_import(request.user, _number(request.POST.get("import", "")) or 0)
    ids = list(upload.candidates.order_by("pk").values_list("pk", flat=True)[: BATCH + 1])
    if len(ids) <= BATCH:
        return _enroll(request, sequence, ids)
    async_task("sequences.importing.tasks.enroll_all", sequence.pk, upload.pk, request.user.pk)
    messages.info(request, "These are many: they are being enrolled now, and appear here one after the other.")
    return redirect("sequences:detail", pk)


def _edit(request: MemberRequest, candidate: Candidate, template: str) -> HttpResponse:
    organization = request.user.organization
    form = CandidateForm(
        organization=organization,
        tokens=own_tokens(organization),
        data=request.POST or None,
        instance=candidate,
    )
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                form.save()
        except IntegrityError:  # a colleague was quicker
            form.full_clean()
        else:
            messages.success(request, "Saved.")
            return redirect("sequences:candidate", candidate.pk)
    return render(request, template, {"form": form, "candidate": candidate})


def _enroll(request: MemberRequest, sequence: Sequence, ids: list[int]) -> HttpResponse:
    try:
        outcome = enroll(sequence=sequence, candidate_ids=ids, actor=request.user, now=timezone.now())
    except EnrollRefused as refused:
        messages.error(request, str(refused))
        return redirect("sequences:detail", sequence.pk)
    if outcome.enrolled or outcome.continued:
        ring_soon()
        messages.success(request, _sentence(outcome))
    else:
        messages.warning(request, _sentence(outcome))
    return redirect("sequences:detail", sequence.pk)


def _sentence(outcome: Outcome) -> str:
    begun = outcome.enrolled + outcome.continued
    parts = [f"{begun:,} candidate{'s' * (begun != 1)} enrolled"]
    parts += [f"{outcome.already:,} already there"] if outcome.already else []
    parts += [f"{outcome.suppressed:,} not to be written to"] if outcome.suppressed else []
    parts += ["the sequence’s own mailbox left out"] if outcome.own_mailbox else []
    parts += [f"{outcome.elsewhere:,} also in another sequence"] if outcome.elsewhere else []
    parts += [f"{outcome.colleagues:,} of them colleagues"] if outcome.colleagues else []
    return ", ".join(parts) + "."


def _page(candidates: QuerySet[Candidate], asked: QueryDict, upload: CandidateImport | None) -> searching.Page:
    if upload:
        candidates = candidates.filter(last_import=upload)
    if text := asked.get("q", "").strip():
        return searching.search(candidates, text)
    return searching.newest(candidates, before=_number(asked.get("before")), after=_number(asked.get("after")))


def _chosen_import(request: MemberRequest) -> CandidateImport | None:
    number = _number(request.GET.get("import"))
    return access.get_import(request.user, number) if number else None


def _chosen_ids(request: HttpRequest) -> list[int]:
    return [number for text in request.POST.getlist("candidate") if (number := _number(text))]


def _number(text: str | None) -> int | None:
    """An id from an address or a form; None for anything else, also for one that no database holds."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
