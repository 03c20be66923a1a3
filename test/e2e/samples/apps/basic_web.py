import postern as modal

image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]")
app = modal.App(name="example-basic-web", image=image)


@app.function()
@modal.fastapi_endpoint(docs=True)
def hello():
    return "Hello world!"


@app.function()
@modal.fastapi_endpoint(docs=True)
def greet(user: str) -> str:
    return f"Hello {user}!"


@app.function()
@modal.fastapi_endpoint(method="POST", docs=True)
def square(item: dict):
    return {"value": item["x"] ** 2}


@app.cls()
class WebApp:
    @modal.enter()
    def startup(self):
        from datetime import datetime, timezone

        self.start_time = datetime.now(timezone.utc)

    @modal.fastapi_endpoint(docs=True)
    def web(self):
        from datetime import datetime, timezone

        return {"started": self.start_time, "now": datetime.now(timezone.utc)}


@app.function()
@modal.fastapi_endpoint(requires_proxy_auth=True)
def private():
    return "hello friend"


@app.function()
@modal.fastapi_endpoint(label="speechify")
def labelled() -> str | None:
    return labelled.get_web_url()
