"""An agent that uses the official Python MCP client, driven by JSON lines.

    agent.py [--era legacy|auto|modern] URL            Streamable HTTP, bearer token from PLACET_TOKEN
    agent.py [--era legacy|auto|modern] -- COMMAND…    a server over stdio

Reads commands from stdin, one JSON object a line, and carries them out as they come, so calls may overlap:

    {"id": 1, "do": "list_tools"}
    {"id": 2, "do": "call", "tool": NAME, "arguments": {…}, "timeout_s": 5, "progress": true, "meta": {…}}
    {"id": 3, "do": "cancel", "call": 2}
    {"do": "close"}

Prints one JSON object a line: first {"event": "connected", "version", "server", "instructions"}, or
{"event": "failed", "error"} and then it exits with 1; later {"id", "ok": true, "result"} or
{"id", "ok": false, "error": {"type", "code", "message", "data"}} for each command, and in between
{"event": "progress", "id", "progress", "total", "message"} and {"event": "notification", "method", "params"}.
The end of stdin closes the connection like "close"; calls that are still open are then cancelled.
"""

import argparse
import contextlib
import json
import os
import sys
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import BaseModel

MODES = {"legacy": "legacy", "auto": "auto", "modern": LATEST_MODERN_VERSION}


def say(line: dict[str, Any]) -> None:
    """Prints one line at once."""
    print(json.dumps(line, ensure_ascii=False), flush=True)


def plain(model: BaseModel) -> Any:
    """A message with the fields that stood on the wire, and no others."""
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


def problem(error: BaseException) -> dict[str, Any]:
    """What went wrong; of a group of errors, the first one says it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return {
        "type": type(error).__name__,
        "code": getattr(error, "code", None),
        "message": str(error),
        "data": getattr(error, "data", None),
    }


class Agent:
    """One connection and the calls that are open on it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.open: dict[Any, anyio.CancelScope] = {}

    async def list_tools(self) -> dict[str, Any]:
        """All pages of the server's tools as one list."""
        tools, cursor = [], None
        while True:
            page = await self.client.list_tools(cursor=cursor)
            tools += [plain(tool) for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                return {"tools": tools}

    async def call(self, command: dict[str, Any]) -> Any:
        """One tool call, to its result."""

        async def progress(done: float, total: float | None, message: str | None) -> None:
            say({"event": "progress", "id": command["id"], "progress": done, "total": total, "message": message})

        return plain(
            await self.client.call_tool(
                command["tool"],
                command.get("arguments"),
                read_timeout_seconds=command.get("timeout_s"),
                progress_callback=progress if command.get("progress") else None,
                meta=command.get("meta"),
            )
        )

    def cancel(self, call: Any) -> dict[str, Any]:
        """Gives up an open call, as the client's user would."""
        if call not in self.open:
            raise LookupError(f"no call {call} is open")
        self.open[call].cancel()
        return {}

    async def run(self, command: dict[str, Any]) -> None:
        """Carries out one command and prints its answer."""
        identity = command.get("id")
        with anyio.CancelScope() as scope:
            try:
                match command["do"]:
                    case "list_tools":
                        result = await self.list_tools()
                    case "call":
                        self.open[identity] = scope
                        result = await self.call(command)
                    case "cancel":
                        result = self.cancel(command["call"])
                    case other:
                        raise ValueError(f"unknown command {other!r}")
                say({"id": identity, "ok": True, "result": result})
            except Exception as error:
                say({"id": identity, "ok": False, "error": problem(error)})
            finally:
                if self.open.get(identity) is scope:
                    del self.open[identity]
        if scope.cancelled_caught:
            gone = {"type": "Cancelled", "code": None, "message": "the call was cancelled here", "data": None}
            say({"id": identity, "ok": False, "error": gone})


async def notified(message: Any) -> None:
    """Prints what the server tells without being asked; progress of a call is told by its own callback."""
    if isinstance(message, BaseModel) and getattr(message, "method", None) not in (None, "notifications/progress"):
        say({"event": "notification", **plain(message)})


async def main() -> None:
    """Connects, then carries out commands until told to close."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", choices=MODES, default="auto")
    parser.add_argument("target", nargs="+", help="a URL, or a command with its arguments after --")
    options = parser.parse_args()

    async with contextlib.AsyncExitStack() as stack:
        if options.target[0].startswith(("http://", "https://")):
            token = os.environ.get("PLACET_TOKEN")
            http = await stack.enter_async_context(
                httpx2.AsyncClient(
                    headers={"Authorization": f"Bearer {token}"} if token else None,
                    # The SDK's own defaults, which apply where no client is passed in.
                    timeout=httpx2.Timeout(30, read=300),
                )
            )
            server: Any = streamable_http_client(options.target[0], http_client=http)
        else:
            command, *arguments = options.target
            server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
        try:
            client = await stack.enter_async_context(
                Client(server, mode=MODES[options.era], message_handler=notified)
            )
        except Exception as error:
            say({"event": "failed", "error": problem(error)})
            raise SystemExit(1) from error

        say(
            {
                "event": "connected",
                "version": client.protocol_version,
                "server": plain(client.server_info) if client.server_info else None,
                "instructions": client.instructions,
            }
        )
        agent = Agent(client)
        async with anyio.create_task_group() as tasks:
            async for line in anyio.wrap_file(sys.stdin):
                command = json.loads(line)
                if command["do"] == "close":
                    break
                tasks.start_soon(agent.run, command)
            for scope in list(agent.open.values()):
                scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
