import asyncio
import time

import postern as modal
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]")
app = modal.App("example-streaming", image=image)
web_app = FastAPI()


async def frames():
    for i in range(4):
        yield f"frame {i}: hello world!".encode()
        await asyncio.sleep(0.2)


@web_app.get("/")
async def main():
    return StreamingResponse(frames(), media_type="text/event-stream")


@app.function()
@modal.asgi_app()
def fastapi_app():
    return web_app


@app.function()
def sync_frames():
    for i in range(4):
        yield f"frame {i}: some data\n".encode()
        time.sleep(0.2)


@app.function()
@modal.fastapi_endpoint()
def hook():
    return StreamingResponse(sync_frames.remote_gen(), media_type="text/event-stream")


@app.function()
def map_me(i):
    time.sleep(i / 10)
    return f"hello from {i}\n"


@app.function()
@modal.fastapi_endpoint()
def mapped():
    return StreamingResponse(map_me.map(range(6)), media_type="text/event-stream")


@app.function()
@modal.fastapi_endpoint()
async def mapped_async():
    async def lines():
        async for line in map_me.map.aio(range(6), order_outputs=False):
            yield line

    return StreamingResponse(lines(), media_type="text/plain")
