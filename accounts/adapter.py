"""How allauth behaves here: a new person founds an organization, or joins the one that invited the address."""

from typing import TYPE_CHECKING

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.utils import timezone

from accounts import inviting
from accounts.models import User

if TYPE_CHECKING:
    from accounts.forms import SignupForm


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Runs inside `SignupForm.save()`'s transaction."""

    def save_user(self, request: HttpRequest, user: User, form: "SignupForm", commit: bool = True) -> User:
        super().save_user(request, user, form, commit=False)
        user.name = form.cleaned_data["name"]
        now = timezone.now()
        if form.invitation:
            inviting.join(user=user, invitation=form.invitation, now=now)
        else:
            inviting.found(user=user, organization_name=form.cleaned_data["organization_name"], now=now)
        return user
