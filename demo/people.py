"""The people of the demo organization. The sandbox tenant has a mailbox for each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    email: str
    name: str
    password: str
    role: str
    about: str


PEOPLE = (
    Person("alice@demo.example", "Alice Archer", "alice-likes-long-walks", "admin", "recruiter, and admin"),
    Person("bob@demo.example", "Bob Baker", "bob-bakes-rye-bread", "member", "recruiter"),
    Person("carol@demo.example", "Carol Chen", "carol-sings-at-night", "member", "hiring manager"),
)
