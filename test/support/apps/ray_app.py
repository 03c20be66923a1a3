"""A Ray head whose Serve has a Gradio app at its ingress, composed of two models that are deployments of their own.

Usage: ray_app.py HOST PORT. Prints "ready" when it serves, and runs until it is ended.
"""

import os
import signal
import sys

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ENABLE_UV_RUN_RUNTIME_ENV="0",
    GRADIO_ANALYTICS_ENABLED="False",
)

import ray
from ray import serve

APP = "gradio"
MODELS = ("small", "large")


# Ray sends functions to its workers by value: they import what they need themselves.
def build_ingress(head):
    def build():
        import gradio
        from fastapi import FastAPI

        place = f"{head}/{os.getpid()}"

        def count(number):
            return number + 1, f"{place} {number + 1}"

        async def ask(prompt):
            """Both models, one after the other, each streaming."""
            words = []
            for name in MODELS:
                handle = serve.get_deployment_handle(name, app_name=APP).options(stream=True)
                async for word in handle.remote(prompt):
                    words.append(word)
                    yield f"{place} {' '.join(words)}"

        with gradio.Blocks() as demo:
            number = gradio.State(0)
            prompt = gradio.Textbox()
            seen = gradio.Textbox()
            gradio.Button("count").click(count, [number], [number, seen], api_name="count")
            gradio.Button("ask").click(ask, [prompt], [seen], api_name="ask")
        return gradio.mount_gradio_app(FastAPI(), demo, path="/")

    return build


def model(name):
    @serve.deployment(name=name, ray_actor_options={"num_cpus": 0})
    class Model:
        """Answers word by word."""

        async def __call__(self, prompt):
            for word in prompt.split():
                yield f"{name}:{word}"

    return Model.bind()


host, port = sys.argv[1], int(sys.argv[2])
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": host, "port": port})
ingress = serve.deployment(serve.ingress(build_ingress(host))()).options(
    name="ingress", max_ongoing_requests=200, ray_actor_options={"num_cpus": 0}
)
serve.run(ingress.bind(*(model(name) for name in MODELS)), name=APP, route_prefix="/")
print("ready", flush=True)
signal.sigwait({signal.SIGINT, signal.SIGTERM})
serve.shutdown()
ray.shutdown()
