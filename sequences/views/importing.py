"""Pages of an import: upload a file, look it over, confirm, see it run, fetch what was refused."""

from itertools import islice
from typing import IO

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sequences import access
from sequences.access import MemberRequest
from sequences.importing import running, uploading
from sequences.importing.previewing import SHOWN_REFUSALS, all_refusals, preview
from sequences.importing.reading import FileRefused
from sequences.importing.running import FAILED, StartRefused
from sequences.models import CandidateImport, Sequence
from sequences.spreadsheets import csv_lines
from sequences.views.head import row_id

RECENT = 10
# What the form adds to the file itself: boundaries and the token.
FORM_BYTES = 10_000


class SizeLimit(FileUploadHandler):
    """Stops taking in a file that is too large: the rest is read off the wire and kept nowhere."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.taken = 0

    def handle_raw_input(
        self, input_data: IO[bytes], META: object, content_length: int, boundary: object, encoding: object = None
    ) -> None:
        if content_length > settings.CANDIDATE_FILE_MAX_BYTES + FORM_BYTES:
            self.taken = content_length

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.taken += len(raw_data)
        if self.taken > settings.CANDIDATE_FILE_MAX_BYTES:
            self.request.too_large = True  # type: ignore[union-attr]
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


# The limit must be set before the token is read, since reading the token reads the whole request.
@csrf_exempt
@require_http_methods(["GET", "POST"])
@login_required
def new_import(request: MemberRequest) -> HttpResponse:
    request.upload_handlers.insert(0, SizeLimit(request))
    return _new_import(request)


@csrf_protect
def _new_import(request: MemberRequest) -> HttpResponse:
    complaint = ""
    if request.method == "POST":
        try:
            return redirect(_onward(_keep(request), request.GET.get("sequence", "")))
        except FileRefused as refused:
            complaint = str(refused)
    context = {
        "complaint": complaint,
        "limit": settings.CANDIDATE_FILE_MAX_BYTES,
        "most": uploading.most(),
        "too_large": uploading.too_large(),
        "recent": access.imports_of(request.user).order_by("-created_at")[:RECENT],
    }
    return render(request, "sequences/importing/new.html", context, status=422 if complaint else 200)


def _onward(upload: CandidateImport, sequence: str) -> str:
    """To the preview, with the sequence that the person came from."""
    address = reverse("sequences:import", args=[upload.pk])
    return f"{address}?sequence={sequence}" if sequence.isascii() and sequence.isdigit() else address


def _keep(request: MemberRequest) -> CandidateImport:
    file = request.FILES.get("file")
    if getattr(request, "too_large", False):
        raise uploading.too_large()
    if file is None:
        raise FileRefused("none", "Choose a file first.")
    return uploading.keep(file=file, user=request.user, now=timezone.now())


@require_GET
@login_required
def import_page(request: MemberRequest, pk: int) -> HttpResponse:
    upload = access.get_import(request.user, pk)
    if upload.state == CandidateImport.State.PREVIEW:
        return _preview_page(request, upload)
    context = {
        "upload": upload,
        "failure": FAILED.get(upload.reason),
        "refusals": list(islice(all_refusals(upload), SHOWN_REFUSALS)) if upload.state == "done" else [],
        "kept": running.KEPT_REFUSALS,
        "sequences": access.sequences_to_enroll_into(request.user) if upload.state == "failed" else None,
    }
    return render(request, "sequences/importing/run.html", context)


@require_GET
@login_required
def import_progress(request: MemberRequest, pk: int) -> HttpResponse:
    """The part of the page that asks for itself again; once there is an end to show, the whole page."""
    upload = access.get_import(request.user, pk)
    response = render(request, "sequences/importing/_progress.html", {"upload": upload})
    if upload.state not in running.UNDER_WAY:
        response["HX-Refresh"] = "true"
    return response


@require_POST
@login_required
def choose_columns(request: MemberRequest, pk: int) -> HttpResponse:
    upload = access.get_import(request.user, pk)
    uploading.choose_columns(upload, request.POST.getlist("field"))
    upload.refresh_from_db()
    if request.headers.get("HX-Request") and upload.state == CandidateImport.State.PREVIEW:
        return _preview_page(request, upload)
    return redirect("sequences:import", upload.pk)


@require_POST
@login_required
def start_import(request: MemberRequest, pk: int) -> HttpResponse:
    """Confirmed, with the columns as they stand on the page."""
    upload = access.get_import(request.user, pk)
    if "field" in request.POST:
        uploading.choose_columns(upload, request.POST.getlist("field"))
    try:
        sequence = _chosen_sequence(request)
        running.start(upload=upload, sequence=sequence, actor=request.user, now=timezone.now())
    except StartRefused as refused:
        messages.error(request, str(refused))
    return redirect("sequences:import", upload.pk)


def _chosen_sequence(request: MemberRequest) -> Sequence | None:
    chosen = request.POST.get("sequence", "")
    if not chosen:
        return None
    sequences = access.sequences_to_enroll_into(request.user)
    sequence = sequences.filter(pk=row_id(chosen) or 0).first()
    if sequence is None:
        raise StartRefused("You cannot enroll into that sequence. Choose another, or none.")
    return sequence


@require_POST
@login_required
def discard_import(request: MemberRequest, pk: int) -> HttpResponse:
    if uploading.discard(access.get_import(request.user, pk)):
        messages.info(request, "The file is gone; nothing was imported.")
        return redirect("sequences:new_import")
    return redirect("sequences:import", pk)


@require_GET
@login_required
def refused_rows(request: MemberRequest, pk: int) -> StreamingHttpResponse:
    upload = access.get_import(request.user, pk)
    refusals = ((refusal.line, refusal.sentence, refusal.value) for refusal in all_refusals(upload))
    rows = (row for part in ([("Line", "Why it was refused", "Value")], refusals) for row in part)
    response = StreamingHttpResponse(csv_lines(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="refused-rows-{upload.pk}.csv"'
    return response


def _preview_page(request: MemberRequest, upload: CandidateImport) -> HttpResponse:
    context = {
        "upload": upload,
        "preview": preview(upload),
        "kept": running.KEPT_REFUSALS,
        "sequences": access.sequences_to_enroll_into(request.user),
        "chosen_sequence": request.POST.get("sequence") or request.GET.get("sequence", ""),
    }
    return render(request, "sequences/importing/preview.html", context)
