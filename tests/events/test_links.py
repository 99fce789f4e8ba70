"""What a URL in a post leads to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.graphs import CHANNEL, values
from support.product import EVERYTHING

from graphwriter import events
from graphwriter.errors import BadEvent
from graphwriter.events import Links, Media
from graphwriter.events.links import target

LONG = "https://a.example/" + "x" * 2000


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("HTTPS://User@Example.ORG:443/A/b?x=1#top", "https://User@example.org/A/b?x=1"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org:8080/", "http://example.org:8080/"),
        ("https://example.org:80/", "https://example.org:80/"),
        ("example.org/a", "http://example.org/a"),
        ("example.org:8080/a", "http://example.org:8080/a"),
        ("//example.org/a", "http://example.org/a"),
        ("localhost:80/a", "http://localhost/a"),
        (" https://a.example/x\n", "https://a.example/x"),
        ("https://a.example/?utm_source=t&a=1&fbclid=9&b=%2F&UTM_X=2", "https://a.example/?a=1&b=%2F"),
        ("https://a.example/?gclid=1", "https://a.example/"),
        ("https://a.example/?yclid=1&q=gclid", "https://a.example/?q=gclid"),
        ("mailto:a@b.example", "mailto:a@b.example"),
        ("tel:123", "tel:123"),
        ("tg://resolve?domain=news_x&post=42", "tg://resolve?domain=news_x&post=42"),
        ("http://[broken", "http://[broken"),
        ("", None),
        (" \n", None),
        ("https://t.me/c/1179270258/42", (CHANNEL, 42)),
        ("t.me/c/1179270258/7/42?single", (CHANNEL, 42)),
        ("http://www.T.me/c/1179270258/42/", (CHANNEL, 42)),
        ("https://telegram.me/c/1179270258/42", (CHANNEL, 42)),
        ("https://t.me/own/42?comment=3", (CHANNEL, 42)),
        ("https://t.me/s/OWN/42", (CHANNEL, 42)),
        ("https://t.me/other/42", "https://t.me/other/42"),
        ("https://t.me/own", "https://t.me/own"),
        ("https://t.me/c/0/42", "https://t.me/c/0/42"),
        ("https://t.me/c/5/0", "https://t.me/c/5/0"),
        ("https://t.me/c/5/99999999999999999999", "https://t.me/c/5/99999999999999999999"),
        ("https://t.me/c/9223372036854775807/1", "https://t.me/c/9223372036854775807/1"),
        ("https://nott.me/c/5/1", "https://nott.me/c/5/1"),
    ],
)  # fmt: skip
def test_a_url_leads_to_a_message_or_to_a_page(url: str, wanted: object) -> None:
    assert target(url, ("own", CHANNEL)) == wanted


@given(st.text() | st.from_regex(r"https?://[a-zA-Z.:0-9]{0,9}/[?#&=a-z_]{0,9}"))
def test_a_normalised_url_is_its_own_normalised_url(url: str) -> None:
    found = target(url, None)
    if isinstance(found, str) and not found.startswith("sha256:"):
        assert target(found, None) == found
        assert len(found.encode(errors="surrogatepass")) <= 2000


def test_a_long_url_is_known_by_its_hash() -> None:
    found = target(LONG, None)
    assert isinstance(found, str)
    assert found.startswith("sha256:")
    assert len(found) == 71


def links(**more: Any) -> Links | None:
    return events.from_values(values(**more), 2**50, EVERYTHING).links


def test_the_first_targets_are_kept_and_all_are_counted() -> None:
    urls = [f"https://a.example/{n // 2}" for n in range(100)]
    found = links(urls=[*urls, ""])
    assert found is not None
    assert (len(found.targets), found.total) == (32, 50)
    assert found.targets[3] == ("https://a.example/3", "https://a.example/3")


def test_the_order_of_urls_does_not_change_the_version() -> None:
    one, other = links(urls=["a.example", "b.example"]), links(urls=["b.example", "a.example"])
    assert one is not None
    assert other is not None
    assert one.version == other.version
    assert links(urls=[]) == links(urls=None) == Links(links(urls=[" "]).version, (), 0)  # type: ignore[union-attr]
    assert links() is None


def test_only_what_is_kept_is_read() -> None:
    more: dict[str, Any] = {"urls": ["a.example"], "media_sha256_list": ["no hash"]}
    found = events.from_values(values(**more), 2**50)
    assert (found.links, found.media) == (None, None)


def test_a_hash_that_is_none_refuses_the_event_and_is_named() -> None:
    with pytest.raises(BadEvent, match=r"media_sha256_list has 'no hash', expected 64 digits"):
        events.from_values(values(media_sha256_list=["no hash"]), 2**50, EVERYTHING)


def test_a_hash_is_known_in_small_letters_and_once() -> None:
    found = events.from_values(
        values(media_sha256_list=["AB" * 32, "ab" * 32, f" {'cd' * 32}"]), 2**50, EVERYTHING
    ).media
    assert isinstance(found, Media)
    assert found.hashes == ("ab" * 32, "cd" * 32)


def test_without_an_album_the_version_is_that_of_older_graphs() -> None:
    plain = events.from_values(values(), 2**50)
    assert plain.post.version & 0x1FFFFF == events.digest(plain.post[1:-1])
    assert events.from_values(values(grouped_id=5), 2**50).post.version != plain.post.version
