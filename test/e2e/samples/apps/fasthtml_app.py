import postern as modal

app = modal.App("example-fasthtml-app")


@app.function(image=modal.Image.debian_slim().uv_pip_install("python-fasthtml"))
@modal.asgi_app()
def serve():
    import fasthtml.common as fh

    app = fh.FastHTML()

    @app.get("/")
    def home():
        return fh.Div(fh.P("Hello World!"), hx_get="/change")

    return app
