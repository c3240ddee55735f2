"""What every page's frame shows: the places one can go to, and how many notifications are unread."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from accounts.models import Notification, User

# Label and address by name; a page that this installation does not have is left out.
MAIN = (
    ("Sequences", "sequences:list"),
    ("Replies", "sequences:replies"),
    ("Candidates", "sequences:candidates"),
    ("Settings", "mailconnect:settings"),
)
SENDING = (
    ("Mailbox", "mailconnect:settings"),
    ("Permissions", "mailconnect:permissions"),
    ("Sent by others", "sequences:sent_by_others"),
    ("Do not contact", "sequences:suppressions"),
)
PERSONAL = (
    ("Profile", "accounts:profile"),
    ("Sign-in and security", "mfa_index"),
    ("Notifications", "accounts:notifications"),
)
ADMINISTRATION = (
    ("Organization", "accounts:organization"),
    ("People", "accounts:people"),
    ("Connections and grants", "mailconnect:overview"),
    ("Audit", "accounts:audit"),
)


@dataclass(frozen=True)
class Place:
    label: str
    url: str
    is_current: bool


@dataclass(frozen=True)
class Group:
    label: str
    places: list[Place]
    in_menu: bool = True


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Lazy: a fragment that shows no frame asks the database nothing."""
    user = getattr(request, "user", None)  # an error page may come before it is known
    if not isinstance(user, User):
        return {}
    return {
        "places": _lazy(lambda: _main_places(_place_of(request.path))),
        "settings_groups": _lazy(lambda: _settings_groups(_place_of(request.path), user)),
        "unread_count": _lazy(lambda: Notification.objects.filter(user=user, read_at=None).count()),
    }


def _place_of(path: str) -> str:
    """Passwords, addresses and second factors are changed on allauth's pages, which all belong to one place."""
    return reverse("mfa_index") if path.startswith("/account/") else path


def _lazy(make: Callable[[], Any]) -> Any:
    return SimpleLazyObject(make)


def _main_places(path: str) -> list[Place]:
    addresses = _addresses(MAIN)
    current = _longest_prefix(path, [url for _, url in addresses])
    if not current and any(path.startswith(url) for _, url in _addresses(SENDING + PERSONAL + ADMINISTRATION)):
        current = reverse("mailconnect:settings")
    return [Place(label, url, url == current) for label, url in addresses]


def _settings_groups(path: str, user: User) -> list[Group]:
    groups: dict[str, tuple[tuple[str, str], ...]] = {"Sending": SENDING, "You": PERSONAL}
    if user.is_admin:
        groups["Administration"] = ADMINISTRATION
    current = _longest_prefix(path, [url for named in groups.values() for _, url in _addresses(named)])
    return [
        Group(label, [Place(name, url, url == current) for name, url in _addresses(named)], in_menu=named != SENDING)
        for label, named in groups.items()
    ]


def _longest_prefix(path: str, addresses: list[str]) -> str:
    """The address that `path` is, or lies below."""
    return max((url for url in addresses if path.startswith(url)), key=len, default="")


@cache
def _addresses(named: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    found = []
    for label, name in named:
        try:
            found.append((label, reverse(name)))
        except NoReverseMatch:
            continue
    return found
