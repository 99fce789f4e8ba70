"""What is served by HTTP: metrics, the page, and whether we are well. It only reads.

/             the status page          /metrics      for Prometheus
/live         its changing part        /status.json  what `graphwriter status --json` prints
/healthz      200 while we look        /readyz       200 while events can be written
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import waitress
from prometheus_client import CollectorRegistry, make_wsgi_app
from waitress.server import BaseWSGIServer

from graphwriter import status, urls
from graphwriter.config import Config
from graphwriter.errors import ConfigError
from graphwriter.exporter.connection import Connection
from graphwriter.exporter.metrics import Metrics
from graphwriter.exporter.page import Page
from graphwriter.exporter.refresh import Looks
from graphwriter.status import told

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]

LEAST = 16  # characters of a token
OPEN = ("/healthz", "/readyz")  # answered without a token: a word, and nothing that could be secret
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]+)?")
# Readers are few. Four threads, fifty connections, short requests, ten seconds for a slow one.
LIMITS: dict[str, Any] = {
    "threads": 4,
    "connection_limit": 50,
    "channel_timeout": 10,
    "cleanup_interval": 5,
    "max_request_header_size": 16_384,
    "max_request_body_size": 1024,
}


class Site:
    """The WSGI application. Without a token it answers those who ask for this machine by name."""

    def __init__(self, looks: Looks, token: str | None = None) -> None:
        self._looks, self._token = looks, token
        registry = CollectorRegistry()
        registry.register(Metrics(looks.shown))
        self._metrics = make_wsgi_app(registry)
        self._page = Page()
        self._always = [
            ("Content-Security-Policy", self._page.policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ]
        self._answers: dict[str, Callable[[], tuple[str, str, bytes]]] = {
            "/": lambda: self._html(self._page.whole(looks.shown())),
            "/live": lambda: self._json({"html": self._page.live(looks.shown())}),
            "/status.json": lambda: self._json(told(*looks.shown())),
            "/healthz": self._health,
            "/readyz": self._readiness,
        }

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        path, method = environ.get("PATH_INFO", "/"), environ["REQUEST_METHOD"]
        if refused := self._refused(environ, path, method):
            code, *headers = refused
            headers.append(("Content-Type", "text/plain"))
            body = code.encode()
        elif path == "/metrics":
            code, headers, body = self._measured(environ)
        else:
            code, kind, body = self._answers[path]()
            headers = [("Content-Type", kind)]
        start(code, [*headers, ("Content-Length", str(len(body))), *self._always])
        return [b"" if method == "HEAD" else body]

    def _measured(self, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return the metrics, in the form that the reader asks for."""
        said: list[Any] = []
        (body,) = self._metrics(
            environ | {"REQUEST_METHOD": "GET"}, lambda *told: said.append(told)
        )
        ((code, headers),) = said
        return code, headers, body

    def _refused(self, environ: Environ, path: str, method: str) -> tuple[Any, ...] | None:
        """Return status and headers of a refusal, None where there is nothing to refuse."""
        if path in OPEN:
            pass
        elif self._token is None:
            # A page elsewhere whose name resolves to this machine must not read us with the
            # browser of somebody here, which says by which name it came.
            if not _is_ours(environ.get("HTTP_HOST")):
                return ("403 Forbidden",)
        elif not self._known(environ.get("HTTP_AUTHORIZATION", "")):
            return ("401 Unauthorized", ("WWW-Authenticate", 'Basic realm="graphwriter"'))
        if path != "/metrics" and path not in self._answers:
            return ("404 Not Found",)
        if method not in ("GET", "HEAD"):
            return ("405 Method Not Allowed", ("Allow", "GET, HEAD"))
        return None

    def _known(self, header: str) -> bool:
        """Whether a header shows the token, as a bearer's or as anybody's password."""
        scheme, _, given = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:  # not what it says it is
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    def _html(self, text: str) -> tuple[str, str, bytes]:
        return "200 OK", "text/html; charset=utf-8", text.encode()

    def _json(self, value: Any) -> tuple[str, str, bytes]:
        return "200 OK", "application/json", orjson.dumps(value, default=str)

    def _health(self) -> tuple[str, str, bytes]:
        if self._looks.well:
            return "200 OK", "text/plain", b"ok\n"
        return "503 Service Unavailable", "text/plain", b"no look has ended lately\n"

    def _readiness(self) -> tuple[str, str, bytes]:
        pipeline, base, _ = self._looks.shown()
        if not (found := status.troubles(pipeline, base)):
            return "200 OK", "text/plain", b"ok\n"
        words = "; ".join(line.partition(":")[0] for line in found)  # no addresses, no errors
        return "503 Service Unavailable", "text/plain", f"{words}\n".encode()


def _is_ours(host: str | None) -> bool:
    """Whether a Host header names this machine; a reader without one is no browser."""
    if host is None:
        return True
    found = _HOST.fullmatch(host)
    return found is not None and urls.is_here(found[1].strip("[]").removesuffix(".").lower())


def serve(config: Config, site: Site) -> Any:
    """Return a server that listens; its `run` serves until the process is told to end.

    Raises:
        ConfigError: the address cannot be had.
    """
    host, port = config.exporter_host, config.exporter_port
    try:
        server = waitress.create_server(site, host=host, port=port, ident=None, **LIMITS)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on ({getattr(error, 'strerror', None) or error}): "
            "set GRAPH_WRITER_EXPORTER_HOST and GRAPH_WRITER_EXPORTER_PORT"
        ) from None
    for one in getattr(server, "map", {0: server}).values():  # of several where a name has several
        if isinstance(one, BaseWSGIServer):
            one.channel_class = Connection
    return server


def check(config: Config) -> None:
    """Raise ConfigError where others could read without a token, or guess it."""
    token = config.exporter_token
    if token is not None and len(token) < LEAST:
        raise ConfigError(
            f"GRAPH_WRITER_EXPORTER_TOKEN has {len(token)} characters, expected at least {LEAST}"
        )
    if token is None and not urls.is_here(config.exporter_host):
        raise ConfigError(
            f"GRAPH_WRITER_EXPORTER_HOST {config.exporter_host} lets other machines read: set "
            "GRAPH_WRITER_EXPORTER_TOKEN or _TOKEN_FILE to what they have to show"
        )
