"""In the form of Modal's sample Doc OCR Webapp."""

import os
from pathlib import Path

import fastapi
import fastapi.staticfiles
import postern as modal

#: Modal's containers have each path to themselves. This one is the environment's own on a box.
ROOT = os.environ.get("POSTERN_DATA", "/nowhere")

app = modal.App("example-doc-ocr-webapp")

web_app = fastapi.FastAPI()


@web_app.post("/parse")
async def parse(request: fastapi.Request):
    parse_receipt = modal.Function.from_name("example-doc-ocr-jobs", "parse_document")

    form = await request.form()
    receipt = await form["receipt"].read()
    call = parse_receipt.spawn(receipt)
    return {"call_id": call.object_id}


@web_app.get("/result/{call_id}")
async def poll_results(call_id: str):
    function_call = modal.functions.FunctionCall.from_id(call_id)
    try:
        result = function_call.get(timeout=0)
    except TimeoutError:
        return fastapi.responses.JSONResponse(content="", status_code=202)

    return result


image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]")

local_assets_path = Path(__file__).parent / "doc_ocr_frontend"
image = image.add_local_dir(local_assets_path, remote_path=f"{ROOT}/assets")


@app.function(image=image)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def wrapper():
    web_app.mount("/", fastapi.staticfiles.StaticFiles(directory=f"{ROOT}/assets", html=True))
    return web_app
