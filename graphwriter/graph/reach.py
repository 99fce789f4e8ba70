"""Whether a Neo4j URI can be used, and why it cannot be reached, which the driver may not say.

With neo4j:// the driver tries the routers one by one and keeps the errors to itself: it says
only that it got no routing information. A connection of our own finds the cause.
"""

from __future__ import annotations

import socket
import ssl
from urllib.parse import parse_qs, urlsplit

from neo4j.exceptions import ServiceUnavailable

from graphwriter.errors import ConfigError

PORT = 7687
SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")


def cause(uri: str, error: Exception, timeout: float) -> str | None:
    """Return why no router of `uri` could be reached; None if the driver has said it, or unknown.

    Connects once, for `timeout` seconds at most, with TLS where the scheme verifies certificates.
    Sends nothing.
    """
    if not isinstance(error, ServiceUnavailable) or "routing information" not in str(error):
        return None
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "localhost", parts.port or PORT
        with socket.create_connection((host, port), timeout) as connection:
            if parts.scheme.endswith("+s"):
                ssl.create_default_context().wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as failed:
        return f"certificate verify failed: {failed.verify_message}"
    except (OSError, ValueError) as failed:
        return getattr(failed, "strerror", None) or str(failed) or type(failed).__name__
    return None


def check_uri(uri: str) -> None:
    """Return if the driver can use `uri` and it contains no secret, since logs show it.

    Raises:
        ConfigError: with what to set instead. The message does not contain the URI.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme not in SCHEMES:
        problem = f"begins with {scheme}://" if mark else "is not a URI"
        raise ConfigError(
            f"NEO4J_URI {problem}, expected one of {', '.join(SCHEMES)} before ://, as in "
            "bolt://127.0.0.1:7687"
        )
    if "@" in rest:
        raise ConfigError(
            "NEO4J_URI contains a user or a password, which every log would show: set NEO4J_USER "
            "and NEO4J_PASSWORD or NEO4J_PASSWORD_FILE instead"
        )
    query = rest.partition("?")[2]
    routed = scheme.startswith("neo4j") and set(parse_qs(query)) <= {"policy", "region"}
    if "#" in rest or (query and not routed):
        raise ConfigError(
            "NEO4J_URI has more text after the port: expected bolt://HOST:PORT or "
            "neo4j://HOST:PORT?policy=NAME, and passwords in NEO4J_PASSWORD_FILE"
        )
