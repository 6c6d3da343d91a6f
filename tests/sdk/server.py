"""A server made with a Python SDK, for the end-to-end tests.

It runs with what is installed: the official `mcp` package of line 2.x (both eras of the
protocol on one port, see requirements.txt) or 1.x (sessions only, see requirements-1.txt),
or `fastmcp` (see requirements-fastmcp.txt). It listens on a free port of 127.0.0.1 and prints exactly
one line on standard output once it accepts connections:

    URL http://127.0.0.1:PORT/mcp

`GET /stats` on the same port tells how many tool calls reached a handler, how many
elicitations were accepted and how many notifications of progress were sent, so that a test
can hold the load tester's counts against the server's own.
"""

import argparse
import asyncio
import os
import socket
import sys
import threading

import uvicorn
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

NAME = "python-test-server"
VERSION = "9.8.7"


def main() -> None:
    arguments = parse_arguments()
    if arguments.exit_with_stdin:
        threading.Thread(target=exit_at_end_of_stdin, daemon=True).start()

    app = build_app(json=arguments.json, stateless=arguments.stateless)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False)
    AnnouncingServer(config).run()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="answer with JSON rather than SSE")
    parser.add_argument("--stateless", action="store_true", help="open no sessions")
    parser.add_argument(
        "--exit-with-stdin",
        action="store_true",
        help="exit when standard input closes, so that a killed parent leaves no server behind",
    )
    return parser.parse_args()


def exit_at_end_of_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


class AnnouncingServer(uvicorn.Server):
    """Prints the endpoint once uvicorn accepts connections, and not before.

    uvicorn makes the socket itself, as it does in the field: asyncio sets
    TCP_NODELAY only on sockets made in that way, and without it every answer
    over SSE would wait 40 ms for the client's delayed acknowledgement.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"URL http://127.0.0.1:{port}/mcp", flush=True)


class Answer(BaseModel):
    """What the tool `ask` wants to know."""

    name: str


class Calls:
    """Counts the calls inside the handlers: `with calls: …`."""

    def __init__(self) -> None:
        self.total = 0
        self.in_flight = 0
        self.in_flight_max = 0
        self.accepted = 0
        self.progress = 0

    def __enter__(self) -> None:
        self.total += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)

    def __exit__(self, *_: object) -> None:
        self.in_flight -= 1


def build_app(*, json: bool, stateless: bool):
    """The ASGI application, with whichever line of the SDK is installed."""
    try:
        from fastmcp import Context, FastMCP
        from fastmcp.exceptions import ToolError
    except ImportError:
        pass
    else:
        server = FastMCP(NAME, version=VERSION)
        add_features(server, ToolError, Context, {"output_schema": None}, "response_type")
        return server.http_app(path="/mcp", json_response=json, stateless_http=stateless)

    plain = {"structured_output": False}
    try:
        from mcp.server.mcpserver import Context, MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError:
        from mcp.server.fastmcp import Context, FastMCP
        from mcp.server.fastmcp.exceptions import ToolError

        server = FastMCP(NAME, json_response=json, stateless_http=stateless, log_level="WARNING")
        # The 1.x front end has no parameter for it and would give the SDK's own version.
        server._mcp_server.version = VERSION
        add_features(server, ToolError, Context, plain, "schema")
        return server.streamable_http_app()

    server = MCPServer(NAME, version=VERSION, log_level="WARNING")
    add_features(server, ToolError, Context, plain, "schema")
    return server.streamable_http_app(json_response=json, stateless_http=stateless)


def add_features(server, tool_error: type[Exception], context, plain: dict, form: str) -> None:
    """The same tools, resource and prompt as the Rust SDK's test server has, and one that asks.

    `plain` is what makes a tool's result a text alone, `form` what an elicitation calls the
    form of its answer.
    """
    calls = Calls()

    # All handlers are coroutines: the counters belong to the event loop's thread.

    @server.tool(description="Says the text again", **plain)
    async def echo(text: str) -> str:
        with calls:
            return text

    @server.tool(description="Adds two numbers", **plain)
    async def add(a: int, b: int) -> str:
        with calls:
            return str(a + b)

    @server.tool(description="Takes as long as it is told", **plain)
    async def sleep(ms: int) -> str:
        with calls:
            await asyncio.sleep(ms / 1000)
            return f"slept {ms} ms"

    @server.tool(description="Always fails", **plain)
    async def fail() -> str:
        with calls:
            raise tool_error("this tool always fails")

    @server.tool(description="Tells of each of its steps", **plain)
    async def stepwise(steps: int, ctx: context) -> str:
        with calls:
            for step in range(1, min(steps, 100) + 1):
                await ctx.report_progress(step, steps)
                calls.progress += 1
                await asyncio.sleep(0.005)
            return f"{steps} steps"

    @server.tool(description="Asks for a name", **plain)
    async def ask(ctx: context) -> str:
        with calls:
            answer = await ctx.elicit("Who is there?", **{form: Answer})
            calls.accepted += answer.action == "accept"
            return answer.action

    @server.resource("test://greeting", name="greeting", mime_type="text/plain")
    async def greeting() -> str:
        return "Hello from Python"

    @server.prompt(description="Asks for a greeting")
    async def greet(name: str) -> str:
        return f"Please greet {name}"

    @server.custom_route("/stats", methods=["GET"])
    async def stats(_: Request) -> JSONResponse:
        return JSONResponse(
            {
                "calls": calls.total,
                "in_flight_max": calls.in_flight_max,
                "accepted": calls.accepted,
                "progress": calls.progress,
            }
        )


if __name__ == "__main__":
    main()
