"""A Socket.IO server that tells which process serves a connection, by what transport, and its count so far."""

import os

import socketio

PLACE = f"{os.environ.get('POSTERN_BOX', 'box')}/{os.getpid()}"
server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
app = socketio.ASGIApp(server)


@server.event
async def count(sid):
    async with server.session(sid) as session:
        session["count"] = session.get("count", 0) + 1
        return f"{PLACE} {server.transport(sid)} {session['count']}"


@server.event
async def echo(sid, data):
    await server.emit("echoed", data, to=sid)
    return PLACE
