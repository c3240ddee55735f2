"""What tests of people share."""

import pytest
from allauth.account.models import EmailAddress

from accounts.models import User


def verified(user: User) -> User:
    """As after the sign-up's code."""
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@pytest.fixture
def verified_alice(alice: User) -> User:
    return verified(alice)
