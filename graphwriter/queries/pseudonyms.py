"""Answers without the ids and names of users, for people who publish what they found.

The same user gets the same pseudonym in one export, and in all exports with the same key. Channels
and groups keep their names. Texts are left out, and the URLs in them: they may contain names.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from graphwriter.events.links import TELEGRAM

T = TypeVar("T", bound=msgspec.Struct)

_ADDRESSES = ("address", "reply_to", "root", "origin", "post_id")
_CHATS = ("id", "source", "target", "a", "b")
PEOPLE = ("user", "signature", "hidden")
_POST = re.compile(r"/(?:s/)?(?:c/\d+|\w+)(?:/\d+)?/\d+/?", re.ASCII).fullmatch
_HOSTS = re.compile(r"(?:.+\.)?(?:t\.me|telegram\.(?:me|dog)|wa\.me|whatsapp\.com)").fullmatch
_USER = re.compile(r"([1-9]\d*):(-?\d+)", re.ASCII).fullmatch


class Pseudonyms:
    """Replaces users by pseudonyms that depend on `key`; without a key on a fresh one."""

    def __init__(self, key: str | None = None) -> None:
        self._key = secrets.token_bytes(32) if key is None else key.encode()

    def user(self, identity: str) -> str:
        """Return the pseudonym of a user: `user-` and 12 hexadecimal digits."""
        return f"user-{hmac.digest(self._key, identity.encode(), 'sha256').hex()[:12]}"

    def url(self, url: str) -> str:
        """Return `url`, or a pseudonym for it if it may name a person."""
        return self.user(f"url {url}") if _personal(url) else url

    def of(self, answer: T) -> Any:
        """Return `answer` as plain values, without ids, names and texts of users."""
        return self._plain(msgspec.to_builtins(answer))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if not isinstance(value, dict):
            return self._address(value) if isinstance(value, str) else value
        if value.get("type") in PEOPLE and "id" in value:
            identity = f"{value['type']} {value['id']}"
            return value | {"id": self.user(identity), "name": None}
        if isinstance(value.get("id"), int) and value["id"] > 0:
            value = value | {"name": None}
        return {name: self._field(name, one) for name, one in value.items()}

    def _field(self, name: str, value: Any) -> Any:
        if name == "text" and value is not None:
            return None
        if name == "links" and isinstance(value, list):
            return [self._plain(one) for one in value if not isinstance(one, str)]
        if name == "url" and isinstance(value, str):
            return self.url(value)
        if name in _CHATS and isinstance(value, int) and value > 0:
            return self.user(f"user {value}")
        if name in _ADDRESSES and isinstance(value, str):
            return self._address(value)
        return self._plain(value)

    def _address(self, text: str) -> str:
        if found := _USER(text):
            return f"{self.user(f'user {found[1]}')}:{found[2]}"
        return text


def _personal(url: str) -> bool:
    """Return whether a URL may name a person: of t.me all but posts of chats, which keep their
    names; and everything that is no plain address of a page, such as mailto: or a login.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return True
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not host:
        return True
    named = host.removeprefix("www.") not in TELEGRAM
    return bool(_HOSTS(host)) and (named or not _POST(parts.path))
