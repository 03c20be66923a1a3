"""An MCP server with sessions. Its tools tell which process serves them, and what the session did before.

GET /runs tells how often the tool `work` has begun, by the name that its caller gave.
"""

import asyncio
import os

from fastmcp import Context, FastMCP
from starlette.responses import JSONResponse

PLACE = f"{os.environ.get('POSTERN_BOX', 'box')}/{os.getpid()}"
counts: dict[str, int] = {}
runs: dict[str, int] = {}
server = FastMCP("sessions")


@server.tool
def count(context: Context) -> str:
    """Counts the calls of this session."""
    number = counts.get(context.session_id, 0) + 1
    counts[context.session_id] = number
    return f"{PLACE} {number}"


@server.tool
async def work(seconds: float, context: Context, caller: str = "") -> str:
    """Works for so long, and says so on the way."""
    runs[caller] = runs.get(caller, 0) + 1
    for step in range(4):
        await asyncio.sleep(seconds / 4)
        await context.report_progress(step + 1, 4)
    return f"{PLACE} worked"


@server.custom_route("/runs", methods=["GET"])
async def tell_runs(_request) -> JSONResponse:
    return JSONResponse(runs)


server.run(
    transport="http",
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    path="/mcp",
    show_banner=False,
    json_response="JSON_RESPONSE" in os.environ,
)
