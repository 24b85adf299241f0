"""Tokens, roles and guesses."""

from __future__ import annotations

import httpx
import pytest

from stream_app.errors import Incompatible
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings
from stream_app.web import app, auth
from stream_app.web.answers import Refused, following, position
from stream_app.web.site import Site

LONG = "0123456789abcdef"


def test_a_token_says_who_and_what() -> None:
    tokens = auth.Tokens(f" ada:operator:{LONG}, bob:viewer:{LONG}x:y=z ")
    assert tokens.user(LONG) == auth.User("ada", "operator")
    assert tokens.user(f"{LONG}x:y=z") == auth.User("bob", "viewer")
    for other in ("", LONG[:-1], LONG + "0", LONG.upper(), "\ud800"):
        assert tokens.user(other) is None


@pytest.mark.parametrize(
    "text", [f"ada:root:{LONG}", "ada:viewer", f":viewer:{LONG}", "ada:viewer:short", f"a b:viewer:{LONG}", "nonsense"]
)
def test_what_cannot_be_read_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(Incompatible) as caught:
        auth.Tokens(f"eve:viewer:{LONG}secret,{text}")
    assert LONG not in str(caught.value)
    assert "short" not in str(caught.value) or "at least 16" in str(caught.value)


def test_a_token_made_for_one_run_is_good_for_it_alone() -> None:
    first, token = auth.one_time("ada")
    second, _ = auth.one_time("ada")
    assert first.user(token) == auth.User("ada", "operator")
    assert second.user(token) is None


def test_ten_failures_within_a_minute_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(auth.time, "monotonic", lambda: now)
    attempts = auth.SignInAttempts()
    assert [attempts.failed("a") for _ in range(auth.ATTEMPTS)] == [0.0] * auth.ATTEMPTS
    assert attempts.failed("a") == auth.WINDOW_S
    assert attempts.failed("b") == 0
    now += auth.WINDOW_S - 1
    assert attempts.failed("a") == pytest.approx(1)
    now += 1
    assert attempts.failed("a") == 0


def test_a_right_token_enters_however_many_wrong_ones_came_from_its_address() -> None:
    site = Site(
        Settings(environment="development"), Topics("ml.", "ml.", 1, 1), None, auth.Tokens(f"ada:viewer:{LONG}")
    )
    statuses = []
    for number in range(50):
        with pytest.raises(Refused) as caught:
            site.user(f"wrong-{number}", "10.0.0.1")
        statuses.append(caught.value.status)
        assert site.user(LONG, "10.0.0.1") == auth.User("ada", "viewer")
    assert statuses == [401] * auth.ATTEMPTS + [429] * (50 - auth.ATTEMPTS)


def test_wrong_tokens_of_very_many_addresses_take_bounded_memory() -> None:
    attempts = auth.SignInAttempts()
    for number in range(30_000):
        attempts.failed(str(number))
    assert len(attempts._failed) == auth._ADDRESSES


@pytest.mark.parametrize("text", ["", "x", "MQ==MQ", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "MDE", "é", "IDE"])
def test_only_cursors_that_were_handed_out_are_taken(text: str) -> None:
    with pytest.raises(Refused):
        position(text)


@pytest.mark.parametrize("at", [0, 1, 50, 123_456])
def test_a_cursor_leads_back_to_where_it_was_made(at: int) -> None:
    assert position(following(at)) == at
    assert position(None) == 0


async def test_whoever_brings_no_token_of_ours_gets_401_and_the_document_says_how_to_sign_in() -> None:
    settings, tokens = Settings(), auth.Tokens(f"ada:operator:{LONG},bob:viewer:{LONG}x")
    topics = Topics("t.", "t.", 1, 1)
    application = app.create(settings, topics, tokens)
    application.state.site = Site(settings, topics, None, tokens)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for given in (None, "", "Bearer", "Bearer ", f"Basic {LONG}", f"Bearer {LONG}y", LONG):
            answer = await client.get("/api/v1/me", headers={"authorization": given} if given is not None else {})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), given
        for given in (f"Bearer {LONG}", f"bearer  {LONG} "):
            answer = await client.get("/api/v1/me", headers={"authorization": given})
            assert answer.json() == {"actor": "ada", "role": "operator"}
        refused = await client.post(
            "/api/v1/models/fraud:acme/retrain", headers={"authorization": f"Bearer {LONG}x"}, json={"reason": "x"}
        )
        assert refused.status_code == 403
        document = (await client.get("/api/v1/openapi.json")).json()
    (scheme,) = document["components"]["securitySchemes"].items()
    assert scheme[1]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["security"] == [{scheme[0]: []}], (method, path)
