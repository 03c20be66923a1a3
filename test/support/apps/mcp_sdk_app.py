"""An MCP server by the official SDK, as its documentation has it: on a loopback port it takes local Hosts alone."""

import os

from mcp.server import MCPServer

server = MCPServer("picky")


@server.tool()
def ping() -> str:
    """Answers."""
    return "pong"


server.run("streamable-http", host="127.0.0.1", port=int(os.environ["PORT"]), json_response=True)
