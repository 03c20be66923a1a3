"""A FastAPI app with the three ways to answer: JSON, a stream of events, a WebSocket.

It knows nothing of Postern: `uvicorn server:app` serves it just as well. What it sees of its caller
(host, scheme, client address) is the public side, as if it stood on the internet itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI(title="Postern's FastAPI example")


class Text(BaseModel):
    text: str = Field(max_length=10_000)


@app.get("/")
async def index(request: Request) -> dict[str, str | None]:
    """What the app sees of the request: the public URL and the client's own address."""
    return {"url": str(request.url), "client": request.client.host if request.client else None}


@app.post("/reverse")
async def reverse(body: Text) -> Text:
    return Text(text=body.text[::-1])


@app.get("/count")
async def count(to: int = 10, seconds: float = 0.5) -> StreamingResponse:
    """Server-sent events, one at a time. When the client leaves, the generator is cancelled."""

    async def events() -> AsyncIterator[str]:
        for number in range(1, to + 1):
            yield f"data: {json.dumps({'number': number})}\n\n"
            await asyncio.sleep(seconds)

    return StreamingResponse(events(), media_type="text/event-stream")


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
