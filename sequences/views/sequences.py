"""Pages of sequences: all of them, one of them, a new one."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from sequences import access, editing
from sequences.access import MemberRequest
from sequences.forms import SequenceForm
from sequences.models import Sequence


@require_GET
@login_required
def list_page(request: MemberRequest) -> HttpResponse:
    sequences = Sequence.objects.of(request.user).select_related("owner", "connection").order_by("-created_at")
    return render(request, "sequences/list.html", {"sequences": sequences[:50]})


@require_http_methods(["GET", "POST"])
@login_required
def new(request: MemberRequest) -> HttpResponse:
    now = timezone.now()
    form = SequenceForm(user=request.user, now=now, data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        sequence = editing.create(sequence=form.save(commit=False), owner=request.user, now=now)
        return redirect("sequences:detail", sequence.pk)
    return render(request, "sequences/new.html", {"form": form})


@require_GET
@login_required
def detail(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_sequence(request.user, pk)
    return render(request, "sequences/detail.html", {"sequence": sequence})
