"""Sessions with the official SDK of MCP, all at once: each calls the tools of apps/mcp_app.py.

Usage: mcp_sessions.py URL COUNT SECONDS

SECONDS is how long the slow tool works. Prints a JSON list with one object for each session: `places`, the processes
that served it, or `failure`.
"""

import asyncio
import json
import sys

from localhost import resolve_localhost
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

resolve_localhost()


async def session(url, seconds):
    places = []
    steps = []

    async def on_progress(progress, total, message):
        steps.append(progress)

    async with streamable_http_client(url) as streams:
        async with ClientSession(streams[0], streams[1]) as client:

            async def ask(tool, arguments, said):
                result = await client.call_tool(tool, arguments, progress_callback=on_progress)
                place, *rest = result.content[0].text.split(" ")
                places.append(place)
                assert rest == [said], f"{' '.join(rest)} instead of {said}"

            await client.initialize()
            assert {tool.name for tool in (await client.list_tools()).tools} == {"count", "work"}
            for counted in ("1", "2", "3"):
                await ask("count", {}, counted)
            await ask("work", {"seconds": seconds}, "worked")
            await ask("count", {}, "4")
    return {"places": places, "progress": len(steps)}


async def outcome(url, seconds):
    try:
        return await asyncio.wait_for(session(url, seconds), 60)
    except BaseException as error:
        return {"failure": failure(error)}


def failure(error):
    """What is at the root of the groups that tasks fail in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def main(url, count, seconds):
    return await asyncio.gather(*(outcome(url, seconds) for _ in range(count)))


print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
