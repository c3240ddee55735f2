"""The sandbox alone, without the product: programs of other people speak to it."""

from collections.abc import Iterator

import pytest

from tests.sandbox_tenant import SandboxTenant


@pytest.fixture
def tenant(running_tenant: SandboxTenant) -> Iterator[SandboxTenant]:
    running_tenant.reset()
    yield running_tenant
    running_tenant.reset()
