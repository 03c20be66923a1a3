import time

import postern as modal

app = modal.App("example-web-job-queue-wrapper")
image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]")


@app.cls(image=image)
class BackendService:
    @modal.enter()
    def enter(self):
        time.sleep(0.5)

    @modal.method()
    def run(self, input_val: str):
        time.sleep(1)
        return input_val[::-1]


@app.function(image=image)
@modal.asgi_app()
@modal.concurrent(max_inputs=100)
def web_endpoint():
    from fastapi import FastAPI, Request

    web_app = FastAPI()
    service = BackendService()

    @web_app.post("/run")
    async def submit(request: Request):
        fc = service.run.spawn((await request.json())["input_val"])
        while len(fc.get_call_graph()) == 0:
            time.sleep(0.1)
        return {"request_id": fc.object_id}

    @web_app.get("/requests/{request_id}/status")
    async def status(request_id: str):
        fc = modal.FunctionCall.from_id(request_id)
        info = fc.get_call_graph()[0].children[0]
        assert info.function_call_id == fc.object_id, "unexpected graph"
        return {"status": info.status.name}

    @web_app.get("/requests/{request_id}")
    async def result(request_id: str):
        return {"response": modal.FunctionCall.from_id(request_id).get()}

    return web_app


@app.local_entrypoint()
def test_polling():
    import json
    import urllib.parse
    import urllib.request

    url = web_endpoint.get_web_url()
    address = urllib.parse.urlsplit(url)

    def ask(path, data=None):
        # This machine's resolver may know no name under localhost.
        request = urllib.request.Request(f"http://127.0.0.1:{address.port}{path}", data, {"Host": address.netloc})
        with urllib.request.urlopen(request) as response:
            return json.loads(response.read())

    request_id = ask("/run", json.dumps({"input_val": "Hello, world!"}).encode())["request_id"]
    while ask(f"/requests/{request_id}/status")["status"] != "SUCCESS":
        time.sleep(0.2)
    print(ask(f"/requests/{request_id}")["response"])
