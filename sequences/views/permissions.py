"""What others send from my mailbox, the first emails that wait for my word, and handing sequences over."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import User
from mailconnect.first_emails import AlreadyDecided
from mailconnect.models import DelegationGrant, FirstEmailApproval
from sequences import access, first_emails, handing_over
from sequences.access import MemberRequest
from sequences.cleaning import for_page
from sequences.handing_over import HandingOverRefused
from sequences.models import Message, Sequence
from sequences.permission_forms import HandOverForm
from sequences.tasks import ring_soon

A_PAGE = 50


@require_GET
@login_required
def sent_by_others(request: MemberRequest) -> HttpResponse:
    """Everything that left from my address on others' initiative, newest first; asked for again and again by htmx."""
    user = request.user
    left = Message.objects.filter(connection__owner=user, state__in=Message.LEFT).exclude(permitted_to=user)
    related = left.select_related("permitted_to", "sequence", "enrollment__candidate").defer("body_html")
    page = Paginator(related.order_by("-permitted_at", "-pk"), A_PAGE).get_page(request.GET.get("page"))
    grants = _live_grants(user)
    rows = [(message, grants.get(message.permitted_to_id) or grants.get(None)) for message in page.object_list]
    name = "_sent_by_others" if request.headers.get("HX-Request") else "sent_by_others"
    return render(request, f"sequences/{name}.html", {"page": page, "rows": rows})


@require_GET
@login_required
def first_email(request: MemberRequest, pk: int) -> HttpResponse:
    approval = _approval(request.user, pk)
    message = first_emails.email_of(approval)
    context = {
        "approval": approval,
        "sequence": get_object_or_404(
            Sequence.objects.of(request.user).select_related("owner"), pk=approval.sequence_id
        ),
        "message": message,
        "body": for_page(message.body_html) if message else "",
        "is_open": approval.grant.is_live(timezone.now()) and not (approval.approved_at or approval.declined_at),
    }
    return render(request, "sequences/first_email.html", context)


@require_POST
@login_required
def answer_first_email(request: MemberRequest, pk: int) -> HttpResponse:
    approval = _approval(request.user, pk)
    says_yes = request.POST.get("answer") == "approve"
    answer = first_emails.approve if says_yes else first_emails.decline
    try:
        answer(approval=approval, actor=request.user, now=timezone.now())
    except AlreadyDecided as decided:
        messages.info(request, decided.sentence)
    else:
        if says_yes:
            ring_soon()
        messages.success(
            request, "Approved: it goes on by itself." if says_yes else "Declined: the sequence is paused."
        )
    return redirect("mailconnect:permissions")


@require_http_methods(["GET", "POST"])
@login_required
def hand_over(request: MemberRequest, pk: int) -> HttpResponse:
    """For admins."""
    if not request.user.is_admin:
        raise Http404
    sequence = access.get_sequence(request.user, pk)
    form = HandOverForm(request.POST if request.method == "POST" else None, owner=sequence.owner)
    if form.is_valid():
        try:
            handing_over.hand_over(
                sequence=sequence,
                to=form.cleaned_data["to"],
                connection=form.cleaned_data["connection"],
                actor=request.user,
                now=timezone.now(),
            )
        except HandingOverRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"“{sequence.name}” belongs to {form.cleaned_data['to']} now.")
            return redirect("sequences:detail", sequence.pk)
    return render(request, "sequences/hand_over.html", {"form": form, "sequence": sequence})


@require_GET
@login_required
def sequences_of(request: MemberRequest, user_pk: int) -> HttpResponse:
    """For admins: what a colleague runs, to be handed over one by one."""
    if not request.user.is_admin:
        raise Http404
    person = get_object_or_404(User, pk=user_pk, organization=request.user.organization_id)
    open_ones = Sequence.objects.filter(owner=person).exclude(state=Sequence.State.ARCHIVED)
    shown = open_ones.select_related("connection").order_by("name", "pk")
    page = Paginator(shown, A_PAGE).get_page(request.GET.get("page"))
    return render(request, "sequences/sequences_of.html", {"person": person, "page": page})


def _approval(user: User, pk: int) -> FirstEmailApproval:
    """Of a permission to send from the own mailbox."""
    related = FirstEmailApproval.objects.select_related("grant__connection")
    return get_object_or_404(related, pk=pk, grant__connection__owner=user)


def _live_grants(user: User) -> dict[int | None, int]:
    """The permission that can be revoked, by the colleague it is of; none: the entire team's."""
    live = DelegationGrant.objects.live(timezone.now()).filter(connection__owner=user)
    return dict(live.order_by().values_list("grantee", "pk"))
