"""Forms of candidates."""

from typing import Any

from django import forms
from django.db.models.functions import Lower

from accounts.models import Organization
from sequences.addresses import canonical
from sequences.checking import known_tokens
from sequences.importing.rows import TOKEN_VALUE_MAX
from sequences.importing.zones import zone_of
from sequences.models import Candidate
from sequences.rendering import TOKENS

TOKENS_SHOWN = 30
PREFIX = "token_"


class CandidateForm(forms.ModelForm):  # type: ignore[type-arg]
    """A candidate by hand, with a field for each further token that the organization's files brought."""

    # Else the browser checks by rules of its own.
    email = forms.CharField(label="E-mail address", max_length=254, widget=forms.EmailInput)

    class Meta:
        model = Candidate
        fields = ("email", "first_name", "last_name", "company", "role_title", "time_zone")
        help_texts = {"time_zone": "For example Europe/Berlin, or a city. Empty: as the sequence."}

    def __init__(self, *, organization: Organization, tokens: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.organization = organization
        self.existing: Candidate | None = None  # who has the address already
        self.tokens = list(dict.fromkeys([*self.instance.fields, *tokens]))[:TOKENS_SHOWN]
        for token in self.tokens:
            self.fields[PREFIX + token] = forms.CharField(
                label=token.replace("_", " ").capitalize(),
                required=False,
                max_length=TOKEN_VALUE_MAX,
                initial=self.instance.fields.get(token, ""),
            )

    def token_fields(self) -> list[forms.BoundField]:
        return [self[PREFIX + token] for token in self.tokens]

    def clean_email(self) -> str:
        address = canonical(self.cleaned_data["email"])
        if address is None:
            raise forms.ValidationError("This is not an e-mail address.")
        others = Candidate.objects.filter(organization=self.organization).exclude(pk=self.instance.pk)
        self.existing = others.annotate(address=Lower("email")).filter(address=address).first()
        if self.existing:
            raise forms.ValidationError("A candidate with this address is there already.")
        return address

    def clean_time_zone(self) -> str:
        named = self.cleaned_data["time_zone"]
        zone = zone_of(named)
        if named and not zone:
            raise forms.ValidationError("There is no such time zone. Write it like Europe/Berlin.")
        return zone

    def clean(self) -> dict[str, Any]:
        super().clean()
        shown = {token: str(self.cleaned_data.get(PREFIX + token, "")) for token in self.tokens}
        kept = {name: value for name, value in self.instance.fields.items() if name not in shown}
        self.instance.fields = kept | {name: value for name, value in shown.items() if value}
        self.instance.organization = self.organization
        return self.cleaned_data


def own_tokens(organization: Organization) -> list[str]:
    """Of the tokens that emails may use, those that a file brought."""
    return [token for token in known_tokens(organization) if token not in TOKENS]
