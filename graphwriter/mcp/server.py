"""The server: on standard input and output for one client, or over HTTP on this machine."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from graphwriter import __version__
from graphwriter.errors import GraphwriterError
from graphwriter.graph import Graph
from graphwriter.mcp import tools

CONCURRENT = 4  # questions at a time; the others wait
RESOURCE = "graphwriter://schema"

log = logging.getLogger("graphwriter")
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class Measured:
    """How long the tools of one server took, and what they refused, as metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        told = ("tool",)
        self._seconds = Histogram(
            "graph_writer_mcp_seconds", "time to answer a tool", told, registry=self.registry
        )
        self._refused = Counter(
            "graph_writer_mcp_refused", "calls that got an error", told, registry=self.registry
        )

    def answered(self, tool: str, seconds: float) -> None:
        """Count and log a call that got its answer."""
        self._seconds.labels(tool).observe(seconds)
        log.info("%s answered in %.3f s", tool, seconds)

    def refused(self, tool: str, error: Exception) -> None:
        """Count and log a call that got an error. Tools that do not exist share one label."""
        self._refused.labels(tool if tool in tools.TOOLS else "unknown").inc()
        log.info("%s refused: %s", tool, error)


def server(graph: Graph, measured: Measured | None = None) -> Server[Any]:
    """Return the server of a graph. Queries run in threads, `CONCURRENT` at a time."""
    limiter = anyio.CapacityLimiter(CONCURRENT)
    measured = measured or Measured()

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(name) for name in tools.TOOLS])

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = params.arguments or {}
        start = time.monotonic()
        try:
            if params.name not in tools.TOOLS:
                raise ValueError(f"there is no tool {params.name!r}: {', '.join(tools.TOOLS)}")
            result = await anyio.to_thread.run_sync(
                tools.call, graph, params.name, arguments, limiter=limiter
            )
        except (GraphwriterError, ValueError) as error:
            measured.refused(params.name, error)
            return types.CallToolResult(content=[_text(str(error))], is_error=True)
        measured.answered(params.name, time.monotonic() - start)
        return types.CallToolResult(content=[_text(tools.text(result))], structured_content=result)

    async def list_resources(_: Any, __: Any) -> types.ListResourcesResult:
        resource = types.Resource(
            uri=RESOURCE,
            name="schema",
            title="The graph",
            description="Nodes, links and addresses of the graph.",
            mime_type="text/plain",
        )
        return types.ListResourcesResult(resources=[resource])

    async def read_resource(
        _: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        if params.uri != RESOURCE:
            raise ValueError(f"there is no resource {params.uri!r}, only {RESOURCE}")
        text = types.TextResourceContents(uri=RESOURCE, mime_type="text/plain", text=tools.SCHEMA)
        return types.ReadResourceResult(contents=[text])

    return Server(
        "graphwriter",
        version=__version__,
        instructions=f"Questions to a graph of Telegram posts. Cite the urls. {tools.NOTICE}",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
    )


def serve(graph: Graph) -> None:
    """Serve one client on standard input and output, until it closes them."""

    async def run() -> None:
        served = server(graph)
        async with stdio_server() as (read, write):
            await served.run(read, write, served.create_initialization_options())

    anyio.run(run)


def serve_http(graph: Graph, port: int, token: str) -> None:
    """Serve clients of this machine that send `token`, until the process is stopped.

    The protocol is at /mcp, and metrics for Prometheus are at /metrics.
    """
    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    measured = Measured()

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(measured.registry), media_type=CONTENT_TYPE_LATEST)

    served = server(graph, measured)
    routes = [Route("/metrics", metrics)]
    app = _guarded(served.streamable_http_app(custom_starlette_routes=routes), token)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def _described(name: str) -> types.Tool:
    tool = tools.TOOLS[name]
    return types.Tool(
        name=name,
        description=tool.description,
        input_schema=tools.inputs(tool),
        output_schema=tools.outputs(tool),
        annotations=types.ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _guarded(app: Asgi, token: str) -> Asgi:
    """Return an application that answers 401 without the token."""
    wanted = f"Bearer {token}".encode()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] != "http" or hmac.compare_digest(given, wanted):
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"the token is missing or wrong\n"})

    return guarded
