"""Forms of the mailbox settings."""

from datetime import datetime

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from accounts.models import User
from mailconnect import signatures
from mailconnect.models import DefaultMailbox, MailConnection

# Exchange Online takes 30 messages a minute from a mailbox and 10,000 recipients a day (reference D2); it is not made
# for bulk mail, so what a person may choose stays well below.
LEAST_SPACING, LONGEST_SPACING = 2, 3600
MOST_A_DAY = 2000


class ManageForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = MailConnection
        fields = ("signature_on", "signature_html", "daily_limit", "spacing_seconds", "send_while_away")
        labels = {
            "signature_on": "Add my signature to every email",
            "send_while_away": "Send although my automatic replies are on",
        }
        help_texts = {
            "daily_limit": f"At most {MOST_A_DAY:,}. Mail programs grow suspicious of many more than 200.",
            "spacing_seconds": "The least time between two emails; a little is added at random, as a person would.",
            "send_while_away": "Otherwise emails wait until you are back.",
        }
        widgets = {"signature_html": forms.Textarea(attrs={"rows": 6, "data-editor": "", "maxlength": 10_000})}

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._bound("daily_limit", 1, MOST_A_DAY)
        self._bound("spacing_seconds", LEAST_SPACING, LONGEST_SPACING)

    def clean_signature_html(self) -> str:
        signature = signatures.clean(self.cleaned_data["signature_html"])
        if len(signature) > signatures.LONGEST:
            raise forms.ValidationError("This signature is too long. Leave out pictures and copied layout.")
        return signature

    def _bound(self, name: str, least: int, most: int) -> None:
        field = self.fields[name]
        field.validators += [MinValueValidator(least), MaxValueValidator(most)]
        field.widget.attrs |= {"min": least, "max": most}


class DefaultMailboxForm(forms.Form):
    """The mailbox that new sequences begin with: one's own, or one that a colleague lets one use."""

    connection = forms.ModelChoiceField(
        MailConnection.objects.none(),
        required=False,
        label="New sequences send from",
        empty_label="Ask each time",
        widget=forms.Select(attrs={"class": "form-select w-auto mw-100"}),
    )

    def __init__(self, user: User, now: datetime, data: dict[str, str] | None = None) -> None:
        chosen = DefaultMailbox.objects.filter(user=user).values_list("connection", flat=True).first()
        super().__init__(data, initial={"connection": chosen})
        self.choices = MailConnection.objects.usable_by(user, now).order_by("address")
        self.fields["connection"].queryset = self.choices  # type: ignore[attr-defined]
