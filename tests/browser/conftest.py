"""A browser for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.support.browsing import launched


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """One that the test closes with its end."""
    async with launched() as found:
        yield found
