"""The HTTP site: metrics, the status page, health and readiness. Read-only.

/             the status page              /metrics      for Prometheus
/live         its changing part            /status.json  as `graphwriter status --json`
/healthz      200 while state is read      /readyz       200 while events can be written
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
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer

from graphwriter import status, urls
from graphwriter.config import Config
from graphwriter.errors import ConfigError
from graphwriter.exporter.metrics import Metrics
from graphwriter.exporter.page import Page
from graphwriter.exporter.refresh import Refresher
from graphwriter.worker.heartbeat import STARTING, WAITING

Environ = dict[str, Any]
Start = Callable[[str, list[tuple[str, str]]], Any]

TOKEN_LENGTH = 16  # characters at least
PUBLIC = ("/healthz", "/readyz")  # answered without a token, in a few words without secrets
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]+)?")
# Clients are few: four threads, fifty connections, short requests, ten seconds for a slow one.
LIMITS: dict[str, Any] = {
    "threads": 4,
    "connection_limit": 50,
    "channel_timeout": 10,
    "cleanup_interval": 5,
    "max_request_header_size": 16_384,
    "max_request_body_size": 1024,
}


CONNECTIONS = 40  # below waitress's own limit, at which it would accept no more


class Connection(HTTPChannel):  # type: ignore[misc]
    """A client's connection, which makes room for the next one.

    At the connection limit the oldest idle connection is closed, so that slow clients cannot lock
    others out: a normal client sends its request immediately and is answered before.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        others = [
            channel
            for channel in self._map.values()
            if isinstance(channel, HTTPChannel) and channel is not self and not channel.will_close
        ]
        idle = [channel for channel in others if not channel.requests]
        if len(others) >= CONNECTIONS and idle:
            min(idle, key=lambda channel: channel.creation_time).will_close = True


class Site:
    """The WSGI application. Without a token it answers only requests for this machine's names."""

    def __init__(self, refresher: Refresher, token: str | None = None) -> None:
        self._refresher, self._token = refresher, token
        registry = CollectorRegistry()
        registry.register(Metrics(refresher.last))
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
            "/": lambda: self._html(self._page.whole(refresher.last())),
            "/live": lambda: self._json({"html": self._page.live(refresher.last())}),
            "/status.json": lambda: self._json(status.as_json(*refresher.last())),
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
            code, headers, body = self._metrics_answer(environ)
        else:
            code, kind, body = self._answers[path]()
            headers = [("Content-Type", kind)]
        start(code, [*headers, ("Content-Length", str(len(body))), *self._always])
        return [b"" if method == "HEAD" else body]

    def _metrics_answer(self, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return the metrics, in the format that the client asks for."""
        started: list[Any] = []
        (body,) = self._metrics(
            environ | {"REQUEST_METHOD": "GET"}, lambda *arguments: started.append(arguments)
        )
        ((code, headers),) = started
        return code, headers, body

    def _refused(self, environ: Environ, path: str, method: str) -> tuple[Any, ...] | None:
        """Return status and headers of a refusal; None if the request is allowed."""
        if path in PUBLIC:
            pass
        elif self._token is None:
            # DNS rebinding: a foreign page whose name resolves to this machine must not read the
            # site with a local user's browser. The Host header has that name.
            if not _names_this_machine(environ.get("HTTP_HOST")):
                return ("403 Forbidden",)
        elif not self._has_token(environ.get("HTTP_AUTHORIZATION", "")):
            return ("401 Unauthorized", ("WWW-Authenticate", 'Basic realm="graphwriter"'))
        if path != "/metrics" and path not in self._answers:
            return ("404 Not Found",)
        if method not in ("GET", "HEAD"):
            return ("405 Method Not Allowed", ("Allow", "GET, HEAD"))
        return None

    def _has_token(self, header: str) -> bool:
        """Whether an Authorization header has the token, as bearer token or as any password."""
        scheme, _, given = header.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:  # not base64, or not text
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    def _html(self, text: str) -> tuple[str, str, bytes]:
        return "200 OK", "text/html; charset=utf-8", text.encode()

    def _json(self, value: Any) -> tuple[str, str, bytes]:
        return "200 OK", "application/json", orjson.dumps(value, default=str)

    def _health(self) -> tuple[str, str, bytes]:
        if self._refresher.healthy:
            return "200 OK", "text/plain", b"ok\n"
        return (
            "503 Service Unavailable",
            "text/plain",
            b"no reading of the state in the last minute\n",
        )

    def _readiness(self) -> tuple[str, str, bytes]:
        pipeline, graph, _ = self._refresher.last()
        problems = status.problems(pipeline, graph)
        waits = (STARTING, WAITING)
        if not problems and all(one.doing in waits for one in pipeline.workers if one.alive):
            problems = ["no local worker is ready to write"]
        if not problems:
            return "200 OK", "text/plain", b"ok\n"
        words = "; ".join(line.partition(":")[0] for line in problems)  # no addresses, no errors
        return "503 Service Unavailable", "text/plain", f"{words}\n".encode()


def _names_this_machine(host: str | None) -> bool:
    """Whether a Host header names this machine; a client without the header is no browser."""
    if host is None:
        return True
    match = _HOST.fullmatch(host)
    return match is not None and urls.is_here(match[1].strip("[]").removesuffix(".").lower())


def serve(config: Config, site: Site) -> Any:
    """Return a server that listens; its `run` serves until the process ends.

    Raises:
        ConfigError: the address is in use, or not allowed.
    """
    host, port = config.exporter_host, config.exporter_port
    try:
        server = waitress.create_server(site, host=host, port=port, ident=None, **LIMITS)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({getattr(error, 'strerror', None) or error}): "
            "set GRAPH_WRITER_EXPORTER_HOST and GRAPH_WRITER_EXPORTER_PORT"
        ) from None
    # A host name with several addresses has several servers.
    for listener in getattr(server, "map", {0: server}).values():
        if isinstance(listener, BaseWSGIServer):
            listener.channel_class = Connection
    return server


def check(config: Config) -> None:
    """Raise ConfigError if others could read without a token, or guess it."""
    token = config.exporter_token
    if token is not None and len(token) < TOKEN_LENGTH:
        raise ConfigError(
            f"GRAPH_WRITER_EXPORTER_TOKEN has {len(token)} characters, expected at least "
            f"{TOKEN_LENGTH}"
        )
    if token is None and not urls.is_here(config.exporter_host):
        raise ConfigError(
            f"GRAPH_WRITER_EXPORTER_HOST {config.exporter_host} can be read by other machines: set "
            "GRAPH_WRITER_EXPORTER_TOKEN or _TOKEN_FILE to a token that they must send"
        )
