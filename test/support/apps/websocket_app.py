"""A WebSocket app as plain ASGI, for tests that look at every frame: no framework between uvicorn and it.

/echo sends every message back in its kind; of the subprotocols offered it takes the first that begins
with "postern.". /close?code=C&reason=R closes first. /refuse?status=S answers the handshake with a body.
/reject closes before it accepts. With ?id=ID a WebSocket's end is kept: GET /ended/ID waits for it.
"""

import asyncio
import json
from urllib.parse import parse_qs

ENDED_SECONDS = 20
ended: dict[str, asyncio.Future] = {}


def ending_of(key: str) -> asyncio.Future:
    return ended.setdefault(key, asyncio.get_running_loop().create_future())


async def app(scope, receive, send):
    query = {name: values[0] for name, values in parse_qs(scope.get("query_string", b"").decode()).items()}
    if scope["type"] == "websocket":
        await websocket(scope, receive, send, query)
    elif scope["type"] == "http":
        await report(scope, send)
    else:
        raise NotImplementedError("this app has no lifespan")


async def report(scope, send):
    if not scope["path"].startswith("/ended/"):
        # Half a handshake is an ordinary request to a gateway.
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"no page"})
        return
    key = scope["path"].removeprefix("/ended/")
    try:
        body = await asyncio.wait_for(asyncio.shield(ending_of(key)), ENDED_SECONDS)
    except asyncio.TimeoutError:
        body = None
    ended.pop(key, None)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def websocket(scope, receive, send, query):
    await receive()
    if scope["path"] == "/refuse":
        headers = [(b"x-refused", b"yes"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
        status = int(query["status"])
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"today"})
        return
    if scope["path"] == "/reject":
        await send({"type": "websocket.close"})
        return
    chosen = next((name for name in scope["subprotocols"] if name.startswith("postern.")), None)
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"x-accepted", b"yes")]})
    if scope["path"] == "/close":
        await send({"type": "websocket.close", "code": int(query["code"]), "reason": query.get("reason", "")})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            break
        kind = "text" if message.get("text") is not None else "bytes"
        try:
            await send({"type": "websocket.send", kind: message[kind]})
        except (OSError, RuntimeError):
            pass  # Closed meanwhile: the next message says how.
    if "id" in query:
        ending_of(query["id"]).set_result({"code": message["code"], "reason": message.get("reason") or ""})
