"""An app of the package `postern`: a FastAPI app, a function of pickles, and a class with hooks."""

import os

import postern as modal

app = modal.App("pyapp")


@app.function()
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def web():
    from fastapi import FastAPI, Request

    web_app = FastAPI()

    @web_app.get("/")
    async def index(request: Request):
        return {"url": str(request.url), "own": web.get_web_url()}

    @web_app.get("/square")
    async def squared(x: int):
        container = await where.remote.aio("POSTERN_CONTAINER_ID")
        here = os.environ["POSTERN_CONTAINER_ID"]
        return {"square": await square.remote.aio(x), "here": here, "there": container}

    @web_app.get("/fail")
    async def failed():
        try:
            await square.remote.aio("four")
        except TypeError as error:
            return {"error": str(error), "cause": str(error.__cause__)}

    @web_app.get("/port-of-square")
    async def port_of_square():
        return {"port": int(await where.remote.aio("PORT"))}

    return web_app


@app.function()
def square(x: int) -> int:
    return x * x


@app.function()
def where(name: str) -> str:
    return os.environ[name]
