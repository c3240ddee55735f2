"""Forms of people and organizations."""

from datetime import date
from typing import Any
from zoneinfo import available_timezones

from allauth.account import forms as allauth_forms
from allauth.core import context
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from holidays.registry import COUNTRIES

from accounts.auditing import in_words
from accounts.inviting import InvitationGone
from accounts.models import AuditEvent, Invitation, Organization, User


def time_zones() -> list[tuple[str, str]]:
    """The zones that people know by a city, and UTC."""
    cities = sorted(name for name in available_timezones() if "/" in name and not name.startswith(("Etc/", "SystemV/")))
    return [(name, name.replace("_", " ")) for name in ["UTC", *cities]]


def holiday_countries() -> list[tuple[str, str]]:
    named = {codes[1]: name.replace("_", " ").title() for name, codes in COUNTRIES.items()}
    return [("", "None"), *sorted(named.items(), key=lambda item: item[1])]


class DayField(forms.DateField):
    """A day that has a midnight in every time zone, and a day after it: not one at the calendar's very ends."""

    EARLIEST, LATEST = date(1900, 1, 1), date(2999, 12, 31)

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        validators = [MinValueValidator(self.EARLIEST), MaxValueValidator(self.LATEST)]
        super().__init__(widget=widget, validators=validators, **kwargs)


class SignupForm(allauth_forms.SignupForm):  # type: ignore[misc]
    """Founds an organization; behind an invitation's link the organization and the address are given."""

    organization_name = forms.CharField(
        label="Organization", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    name = forms.CharField(label="Your name", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    field_order = ("organization_name", "name", "email", "password1")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = _pending_invitation(context.request)
        if self.invitation:
            del self.fields["organization_name"]
            # A disabled field takes its initial value, whatever is posted.
            self.initial["email"] = self.invitation.email
            self.fields["email"].disabled = True

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        try:
            saved: tuple[User | None, HttpResponse | None] = super().try_save(request)
        except InvitationGone:
            return None, redirect("accounts:invitation_gone")
        request.session.pop("invitation", None)
        return saved

    def save(self, request: HttpRequest) -> User:
        with transaction.atomic():
            user: User = super().save(request)
        return user


def _pending_invitation(request: HttpRequest) -> Invitation | None:
    """The invitation whose link was opened in this session, if it is still open."""
    pk = request.session.get("invitation")
    if not pk:
        return None
    invitations = Invitation.objects.open(timezone.now()).select_related("organization", "invited_by")
    return invitations.filter(pk=pk).first()


class InviteForm(forms.Form):
    email = forms.EmailField(label="E-mail")
    role = forms.ChoiceField(choices=User.Role.choices, initial=User.Role.MEMBER)

    def __init__(self, organization: Organization, data: dict[str, str] | None = None) -> None:
        super().__init__(data)
        self.organization = organization

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        # Only of the own organization: whether the address has an account elsewhere is nobody's business.
        if User.objects.filter(organization=self.organization, email__iexact=email).exists():
            raise ValidationError("This person is in your organization already.")
        return email


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=User.Role.choices)


class OrganizationForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Organization
        fields = (
            "name",
            "time_zone",
            "holiday_country",
            "stop_for_colleagues",
            "allow_team_grants",
            "grant_max_days",
        )
        labels = {
            "holiday_country": "Public holidays",
            "stop_for_colleagues": "When a candidate replies, stop for others at the same company too",
            "allow_team_grants": "Owners may let the entire team send",
        }
        help_texts = {
            "time_zone": "Times on all pages, and of sequences whose sender and candidate have no other.",
            "holiday_country": "No email leaves on the public holidays of this country.",
            "stop_for_colleagues": "",
            "allow_team_grants": "Otherwise mailbox owners choose each colleague by name.",
            "grant_max_days": "A permission to send ends after so many days at most. Empty: it may be without end.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"] = forms.ChoiceField(choices=time_zones, help_text=self.fields["time_zone"].help_text)
        self.fields["holiday_country"] = forms.ChoiceField(
            label="Public holidays",
            choices=holiday_countries,
            required=False,
            help_text=self.fields["holiday_country"].help_text,
        )
        self.fields["grant_max_days"].widget.attrs |= {"min": 1, "max": 3650}

    def clean_grant_max_days(self) -> int | None:
        days: int | None = self.cleaned_data["grant_max_days"]
        if days is not None and not 1 <= days <= 3650:
            raise ValidationError("Choose between 1 and 3650 days, or leave it empty.")
        return days


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("name", "email_notices", "daily_digest")
        labels = {
            "name": "Your name",
            "email_notices": "Send me notices by e-mail",
            "daily_digest": "Send me a daily digest of what others send from my mailbox",
        }
        help_texts = {"email_notices": "You find them under Notifications in any case."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = True


class AuditFilterForm(forms.Form):
    """Which audit events to show. Whatever cannot be read is left out rather than refused."""

    actor = forms.ModelChoiceField(User.objects.none(), required=False, label="Person", empty_label="Everybody")
    action = forms.ChoiceField(required=False, label="What")
    since = DayField(required=False, label="From")
    until = DayField(required=False, label="To")

    def __init__(self, organization: Organization, data: dict[str, str]) -> None:
        super().__init__(data)
        people = User.objects.filter(organization=organization).order_by("name", "email")
        self.fields["actor"].queryset = people  # type: ignore[attr-defined]
        actions = AuditEvent.objects.filter(organization=organization).order_by("action").values_list("action")
        spoken = [(action, in_words(action)) for (action,) in actions.distinct()]
        self.fields["action"].choices = [("", "Everything"), *spoken]  # type: ignore[attr-defined]
