"""An MCP server with sessions. Its tools tell which process serves them, and what the session did before."""

import asyncio
import os

from fastmcp import Context, FastMCP

PLACE = f"{os.environ.get('POSTERN_BOX', 'box')}/{os.getpid()}"
counts: dict[str, int] = {}
server = FastMCP("sessions")


@server.tool
def count(context: Context) -> str:
    """Counts the calls of this session."""
    number = counts.get(context.session_id, 0) + 1
    counts[context.session_id] = number
    return f"{PLACE} {number}"


@server.tool
async def work(seconds: float, context: Context) -> str:
    """Works for so long, and says so on the way."""
    for step in range(4):
        await asyncio.sleep(seconds / 4)
        await context.report_progress(step + 1, 4)
    return f"{PLACE} worked"


server.run(
    transport="http",
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    path="/mcp",
    show_banner=False,
    json_response="JSON_RESPONSE" in os.environ,
)
