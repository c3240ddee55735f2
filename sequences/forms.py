"""Forms of sequences, steps and suppressions."""

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import QuerySet

from accounts.models import User
from mailconnect.models import DefaultMailbox, MailConnection
from sequences import access
from sequences.checking import known_tokens
from sequences.cleaning import clean_body, clean_subject
from sequences.models import Sequence, Step
from sequences.rendering import TEXT_MAX, check_template
from sequences.windows import DAY_NAMES, zone_names


class SequenceForm(forms.ModelForm):  # type: ignore[type-arg]
    """The name of a sequence, and the mailbox that it leaves from."""

    class Meta:
        model = Sequence
        fields = ("name", "connection")

    def __init__(self, *, user: User, now: datetime, **kwargs: Any) -> None:
        """`user`: whose mailboxes can be chosen; the owner of the sequence, also where an admin edits it."""
        instance = kwargs.get("instance")
        if instance is None:
            chosen = DefaultMailbox.objects.filter(user=user).values_list("connection", flat=True).first()
            kwargs["initial"] = {"connection": chosen}
        super().__init__(**kwargs)
        _offer_senders(self, access.senders(user, now, instance), "Choose later")


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """When emails may leave. What is left empty is inherited."""

    time_zone = forms.ChoiceField(required=False)
    window_days = forms.MultipleChoiceField(
        label="Days",
        required=False,
        choices=[(str(day), name) for day, name in enumerate(DAY_NAMES, start=1)],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )

    class Meta:
        model = Sequence
        fields = ("window_days", "window_from", "window_until", "time_zone", "in_candidate_time")
        labels = {"window_from": "From", "window_until": "Until", "in_candidate_time": "In the candidate’s own time"}
        help_texts = {"in_candidate_time": "Where a candidate’s time zone is known, the hours above are theirs."}
        widgets = {
            "window_from": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "window_until": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }

    def __init__(self, *, inherited: dict[str, str], **kwargs: Any) -> None:
        """`inherited`: what holds where a field is left empty, by field."""
        super().__init__(**kwargs)
        self.initial["window_days"] = list(self.instance.window_days)
        zones = self.fields["time_zone"]
        zones.choices = [("", f"As the mailbox: {inherited['time_zone']}"), *((name, name) for name in zone_names())]  # type: ignore[attr-defined]
        self.fields["window_days"].help_text = f"None: as the mailbox, {inherited['window_days']}."
        self.fields["window_until"].help_text = f"Both empty: as the mailbox, {inherited['hours']}."

    def clean_window_days(self) -> str:
        return "".join(sorted(self.cleaned_data["window_days"]))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("window_from"), cleaned.get("window_until")
        if (start is None) != (end is None) and not self.errors:
            self.add_error("window_until", "Say both when the window opens and when it closes, or neither.")
        elif start and end and end <= start:
            self.add_error("window_until", "The window must close after it opens, on the same day.")
        return cleaned


class StepForm(forms.ModelForm):  # type: ignore[type-arg]
    """One email. It may be kept unfinished; a sequence does not start before all is written."""

    subject = forms.CharField(
        required=False,
        max_length=255,
        widget=forms.TextInput(attrs={"data-tokens": ""}),
    )
    # The length is looked at before anything reads the text.
    body = forms.CharField(
        label="Text",
        required=False,
        max_length=TEXT_MAX,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 12, "data-editor": ""}),
        error_messages={
            "max_length": f"The text is too long: %(show_value)d characters, at most {TEXT_MAX:,} are allowed. "
            "Shorten it."
        },
    )

    class Meta:
        model = Step
        fields = ("kind", "connection", "delay", "delay_unit", "at_time", "subject", "body")
        labels = {"kind": "This email", "delay": "Wait", "delay_unit": "Unit", "at_time": "Not before"}
        help_texts = {"at_time": "A time of day, with days. Empty: as early as the window allows.", "connection": ""}
        widgets = {
            "kind": forms.RadioSelect,
            "at_time": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }

    def __init__(self, *, sequence: Sequence, now: datetime, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sequence = sequence
        self.known = known_tokens(sequence.organization)
        self.is_first = self.instance.position == 1 if self.instance.pk else not sequence.steps.exists()
        _offer_senders(self, access.senders(sequence.owner, now, sequence, self.instance), "As the sequence")
        self.fields["kind"].choices = Step.Kind.choices  # type: ignore[attr-defined]
        if self.is_first:
            del self.fields["kind"]
        self.fields["subject"].help_text = self._subject_help()

    def _subject_help(self) -> str:
        if self.is_first:
            return "Needed before the sequence can start. Tokens can be used here too."
        return "A new thread needs one; a reply keeps the subject of its thread. Tokens can be used here too."

    def clean_subject(self) -> str:
        return self._checked(clean_subject(self.cleaned_data["subject"]))

    def clean_body(self) -> str:
        return self._checked(clean_body(self.cleaned_data["body"]))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("kind") == Step.Kind.REPLY:
            cleaned["subject"] = ""  # a reply keeps the subject of its thread
        if cleaned.get("delay_unit") in (Step.Unit.MINUTES, Step.Unit.HOURS) and cleaned.get("at_time"):
            self.add_error("at_time", "A time of day goes with days. Leave it empty, or wait for days.")
        return cleaned

    def _checked(self, text: str) -> str:
        if complaints := check_template(text, self.known):
            raise forms.ValidationError(list(complaints))
        return text


class PreviewForm(forms.Form):
    """What the editor shows at this moment, stored or not."""

    subject = forms.CharField(required=False, max_length=255)
    body = forms.CharField(required=False, max_length=TEXT_MAX, strip=False)
    candidate = forms.IntegerField(required=False)
    connection = forms.IntegerField(required=False)


def _offer_senders(form: forms.ModelForm, senders: QuerySet[MailConnection], empty: str) -> None:  # type: ignore[type-arg]
    """Only what the owner of the sequence may send from, and what is chosen already: nothing else, however asked."""
    connection = form.fields["connection"]
    connection.queryset = senders  # type: ignore[attr-defined]
    connection.empty_label = empty  # type: ignore[attr-defined]
    connection.label_from_instance = _sender_label  # type: ignore[attr-defined]


def _sender_label(connection: MailConnection) -> str:
    state = "" if connection.state == MailConnection.State.CONNECTED else f" · {connection.get_state_display().lower()}"
    return f"{connection.address} ({connection.owner}){state}"


class SuppressionForm(forms.Form):
    email = forms.EmailField(label="Address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
