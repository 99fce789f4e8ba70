"""URLs of servers: whether they are encrypted, and the secrets in them."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit


def passwords(url: str) -> list[str]:
    """Return the passwords of a URL, percent-encoded and decoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    found = [parts.netloc.rpartition("@")[0].partition(":")[2]]
    for name, values in parse_qs(parts.query).items():
        found += values if "password" in name else []
    return [*found, *map(unquote, found)]


def safe(url: str) -> str:
    """Return `url` without user and password, in any form, for messages."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return "(not a URL)"
    if "@" in rest:  # the last one: a password may contain @, / and #
        rest = f"***@{rest.rpartition('@')[2]}"
    return f"{scheme}://{re.split('[?#]', rest)[0]}"  # the query may have a password too


def misread(url: str) -> bool:
    """Return whether a password in `url` is cut: there is an @ after a /, ? or #.

    The rest of the password would be taken for the host, and be in logs and in DNS.
    """
    _, _, rest = url.partition("://")
    return "@" in "".join(re.split("[/?#]", rest, maxsplit=1)[1:])


def host_port(host: str, port: int | str) -> str:
    """Return such as `localhost:6379` or `[::1]:6379`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def page(host: str, port: int) -> str:
    """Return the URL of a page at an address."""
    return f"http://{host_port(host, port)}/"


_VERIFIED = ("rediss", "rediss+sentinel", "rediss+cluster", "bolt+s", "neo4j+s")
_POSTGRES = ("postgresql", "postgres")
_OURS = ("redis", "rediss", "bolt", "neo4j")


def exposed(url: str) -> str | None:
    """Return why a connection is not safe, without the URL, which may contain a password."""
    if misread(url):
        return None  # the host would be a part of the password: connecting reports it
    try:
        parts = urlsplit(url)
        hosts = [
            urlsplit(f"//{one}").hostname for one in parts.netloc.rpartition("@")[2].split(",")
        ]
    except ValueError:
        return None  # not a URL: connecting reports it
    query = parse_qs(parts.query)
    postgres = parts.scheme.partition("+")[0] in _POSTGRES
    if postgres:
        hosts += [one for many in query.get("host", ()) for one in many.split(",")]
    host = next((one for one in hosts if one and not is_here(one)), None)
    known = postgres or parts.scheme.partition("+")[0] in _OURS
    if host is None or not known:
        return None  # not a URL for us: connecting reports it
    if postgres:
        return _exposed_postgres(host, query.get("sslmode", [os.environ.get("PGSSLMODE", "")])[-1])
    unchecked = {"none", "optional"} & set(query.get("ssl_cert_reqs", ()))
    if parts.scheme in _VERIFIED and not unchecked:
        return None
    if parts.scheme in _VERIFIED or parts.scheme.endswith("+ssc"):
        return f"does not verify the certificate of {host}"
    return (
        f"sends events and passwords to {host} without encryption: use {_secure(parts.scheme)}://"
    )


def _exposed_postgres(host: str, mode: str) -> str | None:
    if mode == "verify-full":
        return None
    if mode in ("require", "verify-ca"):
        return f"does not verify the certificate of {host}: add sslmode=verify-full"
    return f"may send posts and passwords to {host} without encryption: add sslmode=verify-full"


def is_here(host: str) -> bool:
    """Return whether a host name or address is this machine's loopback."""
    if host.startswith("/"):
        return True  # a socket's directory
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"  # other names are not looked up here


def _secure(scheme: str) -> str:
    return f"rediss{scheme[5:]}" if scheme.startswith("redis") else f"{scheme.partition('+')[0]}+s"
