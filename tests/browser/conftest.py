"""Pages in a real Chromium: a server that shares the test's database, and a signed-in browser for each person."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import BrowserContext, BrowserType, Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.sandbox_tenant import SandboxTenant

# Playwright's synchronous interface keeps an event loop in this thread; Django would refuse its database then.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)

SignedIn = Callable[..., Page]


def _chromium(browser_type: BrowserType) -> str:
    """The installed one, else Playwright's own; empty where there is neither."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    return found or (browser_type.executable_path if Path(browser_type.executable_path).exists() else "")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], browser_type: BrowserType) -> dict[str, Any]:
    path = _chromium(browser_type)
    if not path:
        told = "Chromium is not installed: `apt install chromium` or `playwright install chromium`."
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
    return browser_type_launch_args | {"executable_path": path, "args": ["--no-sandbox", "--disable-gpu"]}


@pytest.fixture
def site(live_server: LiveServer, settings: Settings) -> str:
    """The address of the product, which believes that it is published there."""
    settings.SITE_URL = live_server.url
    settings.CSRF_TRUSTED_ORIGINS = [live_server.url]
    return str(live_server.url)


@pytest.fixture
def tenant(tenant: SandboxTenant, settings: Settings) -> SandboxTenant:
    """The page's policy names the sandbox too, as it does when SANDBOX_URL is set from the start."""
    directives = django_settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    allowed = {"DIRECTIVES": directives | {"form-action": [*directives["form-action"], tenant.url]}}
    settings.CONTENT_SECURITY_POLICY = allowed
    return tenant


@pytest.fixture
def page_of(site: str, new_context: Callable[..., BrowserContext], client_of: Callable[[User], Client]) -> SignedIn:
    """`page_of(alice)`: a page of a browser in which this person is signed in, at no address yet.

    Addresses may be given without the site: `page.goto("/settings/mailbox/")`. More arguments go to the browser's
    context, such as `viewport={"width": 375, "height": 800}` or `java_script_enabled=False`.
    """

    def signed_in(user: User, **options: Any) -> Page:
        context = new_context(base_url=site, **options)
        context.set_default_timeout(PATIENCE_MS)
        session = client_of(user).cookies[django_settings.SESSION_COOKIE_NAME]
        context.add_cookies([{"name": session.key, "value": session.value, "url": site}])
        return context.new_page()

    return signed_in
