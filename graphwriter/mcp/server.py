"""The server: on standard input and output for one client, or over HTTP on this machine."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from graphwriter import __version__
from graphwriter.errors import GraphwriterError
from graphwriter.graph import Graph
from graphwriter.mcp import tools

CONCURRENT = 4  # questions at a time; the others wait
RESOURCE = "graphwriter://schema"

log = logging.getLogger("graphwriter")
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def server(graph: Graph) -> Server[Any]:
    """Return the server of a graph. Queries run in threads, `CONCURRENT` at a time."""
    limiter = anyio.CapacityLimiter(CONCURRENT)

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(name) for name in tools.TOOLS])

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        arguments = params.arguments or {}
        try:
            if params.name not in tools.TOOLS:
                raise ValueError(f"there is no tool {params.name!r}: {', '.join(tools.TOOLS)}")
            result = await anyio.to_thread.run_sync(
                tools.call, graph, params.name, arguments, limiter=limiter
            )
        except (GraphwriterError, ValueError) as error:
            log.info("%s refused: %s", params.name, error)
            return types.CallToolResult(content=[_text(str(error))], is_error=True)
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
    """Serve clients of this machine that send `token`, until the process is stopped."""
    import uvicorn

    app = _guarded(server(graph).streamable_http_app(), token)
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
