"""Why a Neo4j cannot be reached, where the driver does not say it.

With neo4j:// the driver tries the routers one by one and keeps the errors to itself: it says
only that it got no routing information. A connection of our own finds the cause.
"""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from neo4j.exceptions import ServiceUnavailable

PORT = 7687


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
