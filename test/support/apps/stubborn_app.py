"""An app that goes on when its client has left: in a thread, or by swallowing what tells it so."""

import asyncio
import os
import time

from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/pid")
async def pid():
    return os.getpid()


@app.get("/thread")
def thread(seconds: float):
    print("thread begins", flush=True)
    time.sleep(seconds)
    print("thread ends", flush=True)


@app.get("/slow")
async def slow(seconds: float):
    print("slow begins", flush=True)
    await asyncio.sleep(seconds)
    return os.getpid()


@app.get("/swallow")
async def swallow(request: Request):
    print("swallow begins", flush=True)
    working = asyncio.current_task()
    asyncio.ensure_future(cancel_when_left(request, working))
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("swallow goes on", flush=True)


async def cancel_when_left(request, working):
    while not await request.is_disconnected():
        await asyncio.sleep(0.05)
    working.cancel()


@app.get("/block")
async def block(seconds: float):
    """Lets nothing else of this process run."""
    print("block begins", flush=True)
    time.sleep(seconds)
    print("block ends", flush=True)
