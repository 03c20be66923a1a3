import postern as modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]")
app = modal.App("fastapi-modal", image=image)


@app.function()
@modal.asgi_app()
@modal.concurrent(max_inputs=20)
def fastapi_app():
    import fastapi
    from fastapi import FastAPI

    web_app = FastAPI()

    @web_app.post("/submit")
    async def submit(data):
        process_job = modal.Function.from_name("my-job-queue", "process_job")
        call = await process_job.spawn.aio(data)
        return {"call_id": call.object_id}

    @web_app.get("/result/{call_id}")
    async def result(call_id: str):
        function_call = modal.FunctionCall.from_id(call_id)
        try:
            found = await function_call.get.aio(timeout=0)
        except modal.exception.OutputExpiredError:
            return fastapi.responses.JSONResponse(content="", status_code=404)
        except TimeoutError:
            return fastapi.responses.JSONResponse(content="", status_code=202)
        return found

    return web_app
