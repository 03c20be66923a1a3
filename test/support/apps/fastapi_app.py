"""The real FastAPI app of the end-to-end tests: everything that an inference server does with HTTP.

`app` is the app object, `create_app` the factory. EVENTS_FILE, where it is set, receives one line per
lifespan event. Departures are reported by the app itself: GET /departures/{id} waits until the request
with this id has seen its client go.
"""

import asyncio
import hashlib
import json
import os
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI, Form, HTTPException, Request, Response, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

BLOCK = hashlib.shake_256(b"postern").digest(1024 * 1024)


def note(event: str) -> None:
    path = os.environ.get("EVENTS_FILE")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(event + "\n")


@asynccontextmanager
async def lifespan(_app):
    note("startup")
    yield
    note("shutdown")


class Departures:
    """Which requests have started, and which have lost their client and when."""

    def __init__(self):
        self.started: dict[str, asyncio.Event] = {}
        self.left: dict[str, asyncio.Event] = {}
        self.left_at: dict[str, float] = {}

    def start(self, key: str) -> None:
        self.started.setdefault(key, asyncio.Event()).set()

    def leave(self, key: str) -> None:
        self.left_at[key] = time.time()
        self.left.setdefault(key, asyncio.Event()).set()

    async def wait_started(self, key: str, seconds: float) -> bool:
        return await self._wait(self.started.setdefault(key, asyncio.Event()), seconds)

    async def wait_left(self, key: str, seconds: float) -> bool:
        return await self._wait(self.left.setdefault(key, asyncio.Event()), seconds)

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> bool:
        try:
            await asyncio.wait_for(event.wait(), seconds)
            return True
        except asyncio.TimeoutError:
            return False


departures = Departures()
app = FastAPI(lifespan=lifespan)


def create_app():
    return app


@app.get("/json")
async def get_json():
    return {"hello": "world", "snowman": "☃"}


@app.post("/json")
async def post_json(request: Request):
    return {"received": await request.json()}


@app.post("/form")
async def post_form(name: str = Form(), motto: str = Form()):
    return {"name": name, "motto": motto}


@app.post("/files")
async def post_files(file: UploadFile, note: str = Form()):
    content = await file.read()
    return {
        "filename": file.filename,
        "type": file.content_type,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "note": note,
    }


@app.api_route("/upload", methods=["POST", "PUT"])
async def upload(request: Request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


@app.post("/private")
async def private():
    """Refuses an upload that it has not read."""
    raise HTTPException(401, "a token, please", {"www-authenticate": "Bearer"})


@app.get("/download")
async def download(size: int, length: bool = True):
    async def blocks():
        for start in range(0, size, len(BLOCK)):
            yield BLOCK[: min(len(BLOCK), size - start)]

    headers = {"content-length": str(size)} if length else {}
    return StreamingResponse(blocks(), media_type="application/octet-stream", headers=headers)


@app.get("/events")
async def server_sent_events(count: int, interval_ms: float = 0):
    async def numbers():
        for number in range(count):
            yield f"data: {number}\n\n"
            await asyncio.sleep(interval_ms / 1000)

    return StreamingResponse(numbers(), media_type="text/event-stream")


@app.websocket("/echo")
async def echo(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                break
            if message.get("text") is not None:
                await websocket.send_text(message["text"])
            else:
                await websocket.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass


@app.api_route("/seen/{rest:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def seen(request: Request):
    """What the app saw of this request."""
    body = await request.body()
    return Response(
        json.dumps(
            {
                "method": request.method,
                "url": str(request.url),
                "client": request.client.host if request.client else None,
                "raw_path": request.scope["raw_path"].decode("latin-1"),
                "query": request.scope["query_string"].decode("latin-1"),
                "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.headers.raw],
                "body": body.decode("latin-1"),
            }
        ),
        media_type="application/json",
        headers={"x-method": request.method},
    )


@app.get("/status/{code}")
async def status(code: int):
    return Response(status_code=code, headers={"etag": '"v1"'})


@app.post("/encoded")
async def encoded(request: Request, encoding: str):
    """Sends the body back under this Content-Encoding: the tests compress, nobody else should."""
    return Response(
        await request.body(),
        media_type="application/octet-stream",
        headers={
            "content-encoding": encoding,
            "x-request-encoding": request.headers.get("content-encoding", ""),
        },
    )


@app.get("/cookies")
async def cookies():
    response = Response("two")
    response.set_cookie("one", "1", path="/")
    response.set_cookie("two", "2", httponly=True)
    return response


class RawHeaders:
    """Header values that no framework would let through: UTF-8 and Latin-1 bytes."""

    async def __call__(self, scope, receive, send):
        headers = [(b"x-utf8", "grüße".encode()), (b"x-latin1", "grüße".encode("latin-1"))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


class Silent:
    """Requests that say nothing until their client has gone: /silent/headers?ID and /silent/stream?ID."""

    async def __call__(self, scope, receive, send):
        key = scope["query_string"].decode()
        if scope["path"].endswith("/stream"):
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"data: hello\n\n", "more_body": True})
        departures.start(key)
        while (await receive())["type"] != "http.disconnect":
            pass
        departures.leave(key)


app.mount("/raw-headers", RawHeaders())
app.mount("/silent", Silent())


@app.get("/arrivals/{key}")
async def arrival(key: str, seconds: float = 5):
    return {"started": await departures.wait_started(key, seconds)}


@app.get("/departures/{key}")
async def departure(key: str, seconds: float = 5):
    left = await departures.wait_left(key, seconds)
    return {"left": left, "at_ms": departures.left_at.get(key, 0) * 1000}
