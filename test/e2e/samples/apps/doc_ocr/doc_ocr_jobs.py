"""In the form of Modal's sample Doc OCR Jobs, which the web app calls. A reversed text stands for the model's."""

import os

import postern as modal

#: Modal's containers have each path to themselves. This one is the environment's own on a box.
ROOT = os.environ.get("POSTERN_DATA", "/nowhere")

app = modal.App("example-doc-ocr-jobs")

inference_image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]")
model_cache = modal.Volume.from_name("hf-hub-cache", create_if_missing=True)


@app.function(retries=3, volumes={f"{ROOT}/models": model_cache}, image=inference_image)
def parse_document(image: bytes) -> str:
    return image.decode()[::-1]
