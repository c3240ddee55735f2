"""Forms of handing over, and of exporting receipts."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms

from accounts.forms import DayField
from accounts.models import User
from mailconnect.models import MailConnection


class HandOverForm(forms.Form):
    """To whom, and from which mailbox from then on."""

    to = forms.ModelChoiceField(User.objects.none(), label="New owner", empty_label="Choose a colleague")
    connection = forms.ModelChoiceField(
        MailConnection.objects.none(),
        label="Send from",
        required=False,
        empty_label="As before",
        help_text="The new owner must be allowed to send from it.",
    )

    def __init__(self, data: Any, *, owner: User) -> None:
        super().__init__(data)
        active = User.objects.filter(organization=owner.organization_id, is_active=True).exclude(pk=owner.pk)
        self.fields["to"].queryset = active.order_by("name", "email")  # type: ignore[attr-defined]
        connected = MailConnection.objects.connected().filter(organization=owner.organization_id)
        self.fields["connection"].queryset = connected.order_by("address")  # type: ignore[attr-defined]


class ReceiptsForm(forms.Form):
    """Which receipts, and how. Days are the organization's."""

    mailbox = forms.ModelChoiceField(MailConnection.objects.none(), required=False, empty_label="All that I may see")
    person = forms.ModelChoiceField(
        User.objects.none(), required=False, label="Initiated by", empty_label="Everybody that I may see"
    )
    since = DayField(label="From", required=False)
    until = DayField(label="To, and including", required=False)
    format = forms.ChoiceField(choices=[("csv", "CSV, for a spreadsheet"), ("json", "JSON, for a program")])

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        self.zone = ZoneInfo(user.organization.time_zone)
        mailboxes = MailConnection.objects.filter(organization=user.organization_id)
        people = User.objects.filter(organization=user.organization_id)
        if not user.is_admin:
            mailboxes = mailboxes.filter(owner=user)
            people = people.filter(pk=user.pk)
        self.fields["mailbox"].queryset = mailboxes.order_by("address")  # type: ignore[attr-defined]
        self.fields["person"].queryset = people.order_by("name", "email")  # type: ignore[attr-defined]

    def choice(self) -> dict[str, Any]:
        """For `receipts.chosen()`."""
        since, until = self.cleaned_data["since"], self.cleaned_data["until"]
        return {
            "mailbox": self.cleaned_data["mailbox"],
            "person": self.cleaned_data["person"],
            "since": datetime.combine(since, time.min, self.zone) if since else None,
            "until": datetime.combine(until + timedelta(days=1), time.min, self.zone) if until else None,
        }
