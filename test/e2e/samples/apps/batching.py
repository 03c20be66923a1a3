import postern as modal

app = modal.App("example-batching", image=modal.Image.debian_slim().pip_install("fastapi[standard]"))


@app.function()
@modal.batched(max_batch_size=2, wait_ms=1000)
async def batch_add(xs: list[int], ys: list[int]) -> list[int]:
    return [x + y for x, y in zip(xs, ys)]


@app.function()
@modal.fastapi_endpoint(method="POST", docs=True)
async def add(body: dict[str, int]) -> dict[str, int]:
    return {"result": await batch_add.remote.aio(body["x"], body["y"])}


@app.cls()
@modal.concurrent(max_inputs=10)
class Counted:
    foo: str = modal.parameter(default="hedgehog")

    @modal.enter()
    async def start(self):
        self.calls = 0

    @modal.fastapi_endpoint()
    async def baz(self, qux: str = "default") -> dict:
        import asyncio

        self.calls += 1
        most = self.calls
        await asyncio.sleep(0.5)
        self.calls -= 1
        return {"foo": self.foo, "qux": qux, "at_once": most}


@app.function()
@modal.web_server(8127)
def files():
    import subprocess
    import sys

    subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "8127"])
