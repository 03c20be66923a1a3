import postern as modal

app = modal.App("example-mcp-server-stateless")
image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]", "fastmcp")


def make_mcp_server():
    from fastmcp import FastMCP

    mcp = FastMCP("Date and Time MCP Server")

    @mcp.tool()
    async def current_date_and_time(timezone: str = "UTC") -> str:
        """Get the current date and time."""
        from datetime import datetime
        from zoneinfo import ZoneInfo

        return datetime.now(ZoneInfo(timezone)).isoformat()

    return mcp


@app.function(image=image)
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def web():
    from fastapi import FastAPI

    mcp_app = make_mcp_server().http_app(transport="streamable-http", stateless_http=True)
    fastapi_app = FastAPI(lifespan=mcp_app.router.lifespan_context)
    fastapi_app.mount("/", mcp_app, "mcp")
    return fastapi_app


@app.function(image=image)
async def test_tool(tool_name: str | None = None):
    import json
    import os

    from fastmcp import Client
    from fastmcp.client.transports import StreamableHttpTransport

    # Where this machine's resolver knows no name under localhost, POSTERN_URLS leads to it.
    url = json.loads(os.environ["POSTERN_URLS"])["web"]
    async with Client(StreamableHttpTransport(url=f"{url}/mcp")) as client:
        tools = [tool.name for tool in await client.list_tools()]
        result = await client.call_tool(tool_name or tools[0])
        print(f"tools {tools}, result {result.data}")
