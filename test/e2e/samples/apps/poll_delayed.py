import fastapi
import postern as modal
from postern.functions import FunctionCall
from starlette.responses import HTMLResponse, RedirectResponse

app = modal.App("example-poll-delayed-result")
web_app = fastapi.FastAPI()


@app.function(image=modal.Image.debian_slim().uv_pip_install("fastapi[standard]"))
def factor_number(number):
    import time

    time.sleep(1)
    return [n for n in range(2, number) if number % n == 0 and all(n % m for m in range(2, n))]


@web_app.get("/")
async def index():
    return HTMLResponse('<form action="/factors">Number: <input name="number" /></form>')


@web_app.get("/factors")
async def web_submit(request: fastapi.Request, number: int):
    call = factor_number.spawn(number)
    return RedirectResponse(request.url.replace(path="/result", query=f"function_id={call.object_id}"))


@web_app.get("/result")
async def web_poll(function_id: str):
    function_call = FunctionCall.from_id(function_id)
    try:
        result = function_call.get(timeout=0)
    except TimeoutError:
        result = "not ready"
    return result


@app.function()
@modal.asgi_app()
def fastapi_app():
    return web_app
