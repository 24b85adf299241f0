"""Whatever is sent to the API: no fault of the server, and nothing written by those who may only look."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tests.support.live import OPERATOR, VIEWER, Site

#: the library's own strategies for wrong requests use `random`
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")

#: What is generated for each operation; the same every time.
_EXAMPLES = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
_MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


def ask(site: Site, mode: GenerationMode, token: str) -> dict[tuple[str, int], int]:
    """Send requests of every operation; returns how many of each method got which status."""
    seen: dict[tuple[str, int], int] = {}
    schema = schemathesis.openapi.from_url(f"{site.web.address}/api/v1/openapi.json")
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @_EXAMPLES
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            answer = case.call(headers={"authorization": f"Bearer {token}"}, timeout=30)
            key = (case.method, answer.status_code)
            seen[key] = seen.get(key, 0) + 1
            assert answer.status_code < 500, (case.method, case.formatted_path, answer.text)
            if answer.status_code >= 400:
                assert answer.json()["error"]["message"]

        if mode is GenerationMode.POSITIVE or _takes_anything(operation):
            send()
    return seen


def _takes_anything(operation: Any) -> bool:
    """Whether there is anything to get wrong."""
    return bool(operation.path_parameters or operation.query or operation.headers or operation.body)


@pytest.mark.parametrize("mode", _MODES)
def test_no_request_of_an_operator_breaks_the_server(site: Site, mode: GenerationMode) -> None:
    seen = ask(site, mode, OPERATOR)
    print(seen)
    assert sum(count for (_, status), count in seen.items() if status != 404) >= 100


@pytest.mark.parametrize("mode", _MODES)
async def test_no_request_of_a_viewer_writes_anything(site: Site, mode: GenerationMode) -> None:
    seen = ask(site, mode, VIEWER)
    print(seen)
    assert not [key for key in seen if key[0] != "GET" and key[1] < 400]
    assert {row["actor"] for row in await site.commands()} <= {"olga"}
