"""Forms of permissions: their terms, and a request for one."""

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from accounts.forms import DayField
from accounts.models import Organization, User
from mailconnect import stopping
from mailconnect.granting import Terms, longest_end
from mailconnect.models import DelegationGrant

MOST_A_DAY = 2000


class TermsForm(forms.Form):
    """The limits of a permission. Days are the organization's: a permission lasts to the end of its last one."""

    expires_on = DayField(label="Last day", required=False, help_text="Empty: until you revoke it.")
    daily_cap = forms.IntegerField(
        label="Emails a day, at most",
        required=False,
        min_value=1,
        max_value=MOST_A_DAY,
        help_text="Empty: as many as your mailbox allows.",
    )
    sequence_id = forms.TypedChoiceField(
        label="Sequence", required=False, coerce=int, empty_value=None, help_text="Limit the permission to one of them."
    )
    approve_first_email = forms.BooleanField(
        label="I approve the first email of each sequence",
        required=False,
        help_text="You are shown the email before anything leaves from your mailbox.",
    )

    def __init__(
        self, data: Any, *, organization: Organization, grantee: User | None, now: datetime, initial: Any = None
    ) -> None:
        super().__init__(data, initial=initial)
        self.zone = ZoneInfo(organization.time_zone)
        choices = stopping.sequence_choices(organization.pk, grantee.pk if grantee else None)
        chosen = self.initial.get("sequence_id")
        if chosen and chosen not in dict(choices):
            # Archived or handed over since: it stays the limit, rather than "Every sequence" by an oversight.
            choices += stopping.sequence_names([chosen], organization.pk).items()
        self.fields["sequence_id"].choices = [("", "Every sequence"), *choices]  # type: ignore[attr-defined]
        last_day = self.fields["expires_on"]
        last_day.widget.attrs["min"] = now.astimezone(self.zone).date().isoformat()
        if longest := longest_end(organization, now):
            latest = _last_day(longest, self.zone)
            last_day.widget.attrs["max"] = latest.isoformat()
            last_day.required = True
            last_day.help_text = f"Your organization allows permissions of up to {organization.grant_max_days} days."
            self.initial.setdefault("expires_on", latest)

    def terms(self) -> Terms:
        chosen = self.cleaned_data
        return Terms(
            expires_at=_end_of(chosen["expires_on"], self.zone) if chosen["expires_on"] else None,
            daily_cap=chosen["daily_cap"],
            sequence_id=chosen["sequence_id"],
            approve_first_email=chosen["approve_first_email"],
        )

    @staticmethod
    def initial_of(grant: DelegationGrant) -> dict[str, Any]:
        """What the form shows of a permission that is there."""
        zone = ZoneInfo(grant.connection.organization.time_zone)
        return {
            "expires_on": _last_day(grant.expires_at, zone) if grant.expires_at else None,
            "daily_cap": grant.daily_cap,
            "sequence_id": grant.sequence_id,
            "approve_first_email": grant.approve_first_email,
        }


class AskForm(forms.Form):
    """A word with the request."""

    note = forms.CharField(
        label="Your message",
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="For example which candidates you want to write to, and why from this mailbox.",
    )


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min, zone)


def _last_day(end: datetime, zone: ZoneInfo) -> date:
    """The last whole day before `end`."""
    return end.astimezone(zone).date() - timedelta(days=1)
