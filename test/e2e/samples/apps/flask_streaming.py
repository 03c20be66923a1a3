import postern as modal

app = modal.App("example-flask", image=modal.Image.debian_slim().uv_pip_install("flask"))


@app.function()
def generate_rows():
    for i in range(2_000):
        yield ",".join(str((j + i) * i) for j in range(32)) + "\n"


@app.function()
@modal.concurrent(max_inputs=20)
@modal.wsgi_app()
def flask_app():
    from flask import Flask, request

    web_app = Flask(__name__)

    @web_app.get("/")
    def home():
        return "Hello Flask World!"

    @web_app.post("/foo")
    def foo():
        return request.json

    @web_app.route("/local")
    def rows_here():
        return generate_rows.local(), {"Content-Type": "text/csv"}

    @web_app.route("/remote")
    def rows_of_a_container():
        return generate_rows.remote(), {"Content-Type": "text/csv"}

    return web_app
