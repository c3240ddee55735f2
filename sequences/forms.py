"""Forms of sequences, steps and suppressions."""

from datetime import datetime

from django import forms

from accounts.models import User
from mailconnect.models import DefaultMailbox
from sequences import access
from sequences.models import Sequence


class SequenceForm(forms.ModelForm):  # type: ignore[type-arg]
    """The name of a sequence, and the mailbox that it leaves from."""

    class Meta:
        model = Sequence
        fields = ("name", "connection")

    def __init__(self, *, user: User, now: datetime, **kwargs: object) -> None:
        """`user`: whose mailboxes can be chosen; the owner of the sequence, also where an admin edits it."""
        if "instance" not in kwargs:
            chosen = DefaultMailbox.objects.filter(user=user).values_list("connection", flat=True).first()
            kwargs["initial"] = {"connection": chosen}
        super().__init__(**kwargs)  # type: ignore[arg-type]
        connection = self.fields["connection"]
        connection.queryset = access.senders(user, now)  # type: ignore[attr-defined]
        connection.empty_label = "Choose later"  # type: ignore[attr-defined]
