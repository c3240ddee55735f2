"""The people of all tests, and the sandbox tenant at the other end of the wire.

Alice owns a mailbox, Bob is granted, Carol is not, Ada is the organization's admin, Mallory is from elsewhere.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Organization, User
from tests.sandbox_tenant import SandboxTenant

PASSWORD = "a quiet long pass phrase"


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
IN_CI = os.environ.get("CI", "").lower() == "true"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only PostgreSQL can show is not of a run on SQLite: `make test` has a run of its own for it."""
    if connection.vendor == "postgresql":
        return
    theirs = [item for item in items if item.get_closest_marker("postgres")]
    items[:] = [item for item in items if item not in theirs]
    config.hook.pytest_deselected(items=theirs)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") and not CHROMIUM:
        reason = "Chromium is not installed (looked for chromium, chromium-browser, google-chrome)."
        pytest.fail(reason) if IN_CI else pytest.skip(reason)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """SQLite empties tables after a transactional test by DELETE, which the audit trail's trigger would refuse.

    PostgreSQL drops no database that anybody is connected to; and what Playwright's event loop has opened in this
    thread, Django no longer finds after it to close it.
    """
    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER IF EXISTS audit_refuses_delete")
    yield
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """A slow hash protects people; in tests it would be most of the time."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="Demo", time_zone="Europe/Berlin")


def _person(organization: Organization, email: str, name: str, role: str = User.Role.MEMBER) -> User:
    return User.objects.create_user(email, PASSWORD, organization=organization, name=name, role=role)


@pytest.fixture
def alice(organization: Organization) -> User:
    return _person(organization, "alice@demo.example", "Alice Archer")


@pytest.fixture
def bob(organization: Organization) -> User:
    return _person(organization, "bob@demo.example", "Bob Baker")


@pytest.fixture
def carol(organization: Organization) -> User:
    return _person(organization, "carol@demo.example", "Carol Chen")


@pytest.fixture
def ada(organization: Organization) -> User:
    return _person(organization, "ada@demo.example", "Ada Admin", User.Role.ADMIN)


@pytest.fixture
def mallory(db: None) -> User:
    return _person(Organization.objects.create(name="Elsewhere"), "mallory@other.example", "Mallory Other")


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """A signed-in client of a person."""

    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return signed_in


@pytest.fixture(scope="session")
def running_tenant() -> Iterator[SandboxTenant]:
    tenant = SandboxTenant.start()
    yield tenant
    tenant.stop()


@pytest.fixture
def tenant(running_tenant: SandboxTenant, settings: Settings) -> SandboxTenant:
    """The sandbox with its seed accounts, fresh for each test, where the product looks for Microsoft."""
    running_tenant.reset()
    settings.SANDBOX_URL = running_tenant.url
    return running_tenant
