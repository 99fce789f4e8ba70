"""What a URL in a post leads to: a message of Telegram, or a page by its normalised URL. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from graphwriter.events.telegram import MARK

LIMIT = 2000  # bytes of a URL that is stored as it is; Neo4j cannot index much more
CACHED_LENGTH = 300  # characters of a URL; longer ones are not cached
TELEGRAM = ("t.me", "telegram.me", "telegram.dog")
_PORTS = {"http": "80", "https": "443", "ftp": "21"}
# Parameters that say how a reader came to the page, and not which page it is.
_TRACKING = re.compile(
    r"utm_.*|(?:fb|g|dc|y|ys|tw|tt|ms|mt)cl(?:id|kid)|gclsrc|[gw]braid|igshid?|mc_[ce]id|_ga|_gl"
    r"|_openstat|vero_id|_hsenc|_hsmi|mkt_tok|oly_(?:anon|enc)_id|rb_clickid|s_cid|wickedid",
    re.IGNORECASE,
).fullmatch
_SCHEME = re.compile(  # and not the host and port of localhost:80
    r"[a-z][a-z0-9+-]*:(?![0-9])|(?:tel|sms|callto):|[a-z][a-z0-9+.-]*://", re.IGNORECASE
)
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII).fullmatch


def target(url: str, own: tuple[str, int] | None) -> tuple[int, int] | str | None:
    """Return the address of the message that `url` leads to, else its normalised URL.

    Normalised means: scheme and host in small letters, without the default port, the fragment and
    known tracking parameters; http:// before a URL without a scheme, as Telegram's clients open it.
    Above `LIMIT` bytes it is `sha256:` and the hash in hex. None for white space.

    Args:
        own: a public name of a chat, in small letters, and the chat's marked id: of other names
            the id is not known, so that links to them are pages.
    """
    normalised, message = (_read if len(url) <= CACHED_LENGTH else _parsed)(url)
    if message is not None:
        chat, number = message
        if isinstance(chat, int):
            return chat, number
        if own is not None and chat == own[0]:
            return own[1], number
    return normalised


def public_name(url: str | None) -> str | None:
    """Return the chat's name, in small letters, in the URL of a post of a public chat."""
    message = _parsed(url)[1] if url else None
    return message[0] if message is not None and isinstance(message[0], str) else None


def _parsed(url: str) -> tuple[str | None, tuple[int | str, int] | None]:
    """Return the normalised URL, and (chat, message) if it is a message's."""
    text = url.strip()
    if not text:
        return None, None
    if not _SCHEME.match(text):
        text = f"http://{text.removeprefix('//')}"
    try:
        scheme, place, path, query, _ = urlsplit(text)
    except ValueError:  # brackets that are no address
        return _short(text), None
    login, at, host = place.rpartition("@")
    host = host.lower()
    name, colon, port = host.rpartition(":")
    if colon and port in ("", _PORTS.get(scheme)):
        host = name
    named = ((unquote_plus(part.partition("=")[0]), part) for part in query.split("&"))
    kept = [part for name, part in named if not _TRACKING(name)]
    normalised = urlunsplit((scheme, f"{login}{at}{host}", path, "&".join(kept), ""))
    message = _message(path) if host.removeprefix("www.") in TELEGRAM else None
    return _short(normalised), message


# A few pages are in most posts that have links.
_read = lru_cache(maxsize=4096)(_parsed)


def _message(path: str) -> tuple[int | str, int] | None:
    """Return chat and message of the path of t.me: `c/ID/N`, `NAME/N`, also with a topic's id."""
    parts = path.strip("/").split("/")
    if parts[0] == "s":  # the preview of a public channel
        del parts[0]
    private = bool(parts) and parts[0] == "c"
    chat, *numbers = parts[private:] or [""]
    if len(numbers) not in (1, 2) or not all(map(_NUMBER, numbers)):
        return None
    number = int(numbers[-1])
    if not 0 < number < 2**63:
        return None
    if not private:
        return chat.lower(), number
    if not _NUMBER(chat) or not 0 < int(chat) <= 2**63 - MARK:
        return None
    return -(MARK + int(chat)), number


def _short(url: str) -> str:
    if len(url) * 4 > LIMIT and len(raw := url.encode()) > LIMIT:
        return f"sha256:{sha256(raw).hexdigest()}"
    return url
