"""Fill a demo installation: an organization, three people, a few candidates and a sequence to try."""

import os
import sys
from datetime import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metaview_outreach.settings")
django.setup()

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction

from accounts.models import Organization, User
from demo.people import PEOPLE, Person
from sequences.models import Candidate, Sequence, Step

CANDIDATES = (
    ("maya.lind@northwind.example", "Maya", "Lind", "Northwind", "Platform Engineer"),
    ("jonas.weber@fabrikam.example", "Jonas", "Weber", "Fabrikam", "Site Reliability Engineer"),
    ("priya.nair@contoso.example", "Priya", "Nair", "Contoso", "Backend Engineer"),
)
MINUTES_TO_ANSWER = 10  # a reply is noticed within three
FIRST = """<p>Hi {{ first_name | default: "there" }},</p>
<p>your work as {{ role_title | default: "an engineer" }} at {{ company | default: "your company" }} caught my eye.
We are building a small platform team, and I would like to tell you about it.</p>
<p>Would you have fifteen minutes this week?</p>"""
SECOND = """<p>Hi {{ first_name | default: "there" }},</p>
<p>just in case my note got lost: I would still like to hear what you are looking for next.</p>"""


def main() -> None:
    """Does nothing to an installation that is filled."""
    if settings.MODE != "demo":
        sys.exit("Demo people belong into a demo installation: MODE is not demo.")
    with transaction.atomic():
        organization, new = Organization.objects.get_or_create(name="Demo", defaults={"time_zone": "Europe/Berlin"})
        if new:
            _fill(organization)


def _fill(organization: Organization) -> None:
    people = [_person(organization, person) for person in PEOPLE]
    Candidate.objects.bulk_create(
        Candidate(
            organization=organization, email=email, first_name=first, last_name=last, company=company, role_title=role
        )
        for email, first, last, company, role in CANDIDATES
    )
    _sequence(organization, people[0])


def _person(organization: Organization, person: Person) -> User:
    user = User.objects.create_user(
        person.email, person.password, organization=organization, name=person.name, role=person.role
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def _sequence(organization: Organization, owner: User) -> None:
    """Its window is always open, and its second email leaves time to answer the first and see that it does not come."""
    sequence = Sequence.objects.create(
        organization=organization,
        owner=owner,
        name="Platform engineers",
        time_zone="Europe/Berlin",
        window_days="1234567",
        window_from=time(0, 0),
        window_until=time(23, 59),
    )
    Step.objects.create(
        sequence=sequence,
        position=1,
        subject='A question, {{ first_name | default: "if I may" }}',
        body=FIRST,
        delay_unit=Step.Unit.MINUTES,
    )
    Step.objects.create(
        sequence=sequence,
        position=2,
        kind=Step.Kind.REPLY,
        body=SECOND,
        delay=MINUTES_TO_ANSWER,
        delay_unit=Step.Unit.MINUTES,
    )


if __name__ == "__main__":
    main()
