import postern as modal

app = modal.App("example-gradio", image=modal.Image.debian_slim().uv_pip_install("fastapi[standard]", "gradio"))


@app.cls()
class ModelInference:
    @modal.enter()
    def load(self):
        self.model = str.upper

    @modal.method()
    def generate(self, text: str) -> str:
        return self.model(text)


@app.function(max_containers=1)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def ui():
    import gradio as gr
    from fastapi import FastAPI
    from gradio.routes import mount_gradio_app

    def generate(text):
        return ModelInference().generate.remote(text)

    with gr.Blocks(title="SLM") as interface:
        box = gr.Textbox()
        output = gr.Textbox()
        gr.Button("Generate").click(generate, box, output, api_name="generate")
    return mount_gradio_app(app=FastAPI(), blocks=interface, path="/")
