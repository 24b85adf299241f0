"""Which names are ours."""

from __future__ import annotations

import pytest

from stream_app.http.hosts import Hosts, absolute, allowed, split

OURS = allowed("plumbline.example.org, *.pods.cluster.local", "http://dash.example.org:8080/x", "0.0.0.0", "")


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1", "127.0.0.1:8080", "10.1.2.3:6066", "[::1]", "[::1]:8080", "[fe80::1%25eth0]:80", "[fe80::1%eth0]",
        "[::ffff:127.0.0.1]", "localhost", "LOCALHOST:1", "localhost.", "localhost.:80", "plumbline.example.org",
        "Plumbline.Example.ORG.:443", "dash.example.org", "w-0.pods.cluster.local:6066", "127.0.0.1:",
    ],
)  # fmt: skip
def test_addresses_localhost_and_given_names_are_ours(authority: str) -> None:
    assert OURS.allow(authority)


@pytest.mark.parametrize(
    "authority",
    [
        None, "", " ", ":80", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost",
        "plumbline.example.org.evil.example", "xplumbline.example.org", "pods.cluster.local", "xpods.cluster.local",
        "127.1", "2130706433", "0x7f000001", "127.0.0.1:99999", "127.0.0.1:80:80", "127.0.0.1:x", "[::1", "::1",
        "[::1]x", "[127.0.0.1]", "user@127.0.0.1", "127.0.0.1/x", "127.0.0.1?", "127.0.0.1#", "localhost,evil.example",
        "localhost evil.example", "localhost\x00", "localhost\n", "١٢٧.0.0.1", "a" * 300,
    ],
)  # fmt: skip
def test_every_other_name_is_not(authority: str | None) -> None:
    assert not OURS.allow(authority)


@pytest.mark.parametrize("text", ["http://x", "a:80", "a/b", "*", "a.*", "*.", "a b", "-a", "[::1]"])
def test_a_configured_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        split(text)


def test_without_names_there_are_addresses_and_localhost() -> None:
    assert [Hosts().allow(name) for name in ("localhost", "[::1]:1", "dash.example.org")] == [True, True, False]


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/x?y=http://z", None), ("http://evil.example/a/b", ("evil.example", "/a/b")), ("HTTP://h", ("h", "/")),
        ("http://h:1", ("h:1", "/")), ("*", None), ("ftp://h/", None),
    ],
)  # fmt: skip
def test_an_absolute_target_names_its_host(target: str, found: tuple[str, str] | None) -> None:
    assert absolute(target) == found
