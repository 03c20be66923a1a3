"""In the form of Modal's sample Text-to-Image, without a GPU: modules beside it stand for diffusers and torch."""

import io
import os
import random
import time
from pathlib import Path
from typing import Optional

import postern as modal

MINUTES = 60

#: Modal's containers have each path to themselves. This one is the environment's own on a box.
ROOT = os.environ.get("POSTERN_DATA", "/nowhere")

app = modal.App("example-text-to-image")

CACHE_DIR = f"{ROOT}/cache"

image = (
    modal.Image.debian_slim()
    .uv_pip_install("fastapi[standard]")
    .env({"HF_XET_HIGH_PERFORMANCE": "1", "HF_HUB_CACHE": CACHE_DIR})
)

with image.imports():
    import diffusers
    import torch
    from fastapi import Response

MODEL_ID = "adamo1139/stable-diffusion-3.5-large-turbo-ungated"
MODEL_REVISION_ID = "9ad870ac0b0e5e48ced156bb02f85d324b7275d2"

cache_volume = modal.Volume.from_name("hf-hub-cache", create_if_missing=True)


@app.cls(image=image, timeout=10 * MINUTES, volumes={CACHE_DIR: cache_volume})
class Inference:
    @modal.enter()
    def load_pipeline(self):
        self.pipe = diffusers.StableDiffusion3Pipeline.from_pretrained(
            MODEL_ID,
            revision=MODEL_REVISION_ID,
            torch_dtype=torch.bfloat16,
        ).to("cuda")

    @modal.method()
    def run(self, prompt: str, batch_size: int = 4, seed: Optional[int] = None) -> list[bytes]:
        seed = seed if seed is not None else random.randint(0, 2**32 - 1)
        torch.manual_seed(seed)
        images = self.pipe(prompt, num_images_per_prompt=batch_size, num_inference_steps=4, guidance_scale=0.0).images

        image_output = []
        for image in images:
            with io.BytesIO() as buf:
                image.save(buf, format="PNG")
                image_output.append(buf.getvalue())
        torch.cuda.empty_cache()
        return image_output

    @modal.fastapi_endpoint(docs=True)
    def web(self, prompt: str, seed: Optional[int] = None):
        return Response(
            content=self.run.local(prompt, batch_size=1, seed=seed)[0],
            media_type="image/png",
        )


@app.local_entrypoint()
def entrypoint(samples: int = 4, prompt: str = "A princess", batch_size: int = 4, seed: Optional[int] = None):
    inference_service = Inference()
    for sample_idx in range(samples):
        start = time.time()
        images = inference_service.run.remote(prompt, batch_size, seed)
        print(f"Run {sample_idx + 1} made {len(images)} images, {images[0].decode()}")
        assert time.time() > start


frontend_path = Path(__file__).parent / "frontend"

web_image = (
    modal.Image.debian_slim()
    .uv_pip_install("jinja2", "fastapi[standard]")
    .add_local_dir(frontend_path, remote_path=f"{ROOT}/page")
)


@app.function(image=web_image)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def ui():
    import fastapi.staticfiles
    from fastapi import FastAPI, Request
    from fastapi.templating import Jinja2Templates

    web_app = FastAPI()
    templates = Jinja2Templates(directory=f"{ROOT}/page")

    @web_app.get("/")
    async def read_root(request: Request):
        return templates.TemplateResponse(
            request,
            "index.html",
            {
                "inference_url": Inference.web.get_web_url(),
                "model_name": "Stable Diffusion 3.5 Large Turbo",
                "default_prompt": "A cinematic shot of a baby raccoon.",
            },
        )

    web_app.mount("/static", fastapi.staticfiles.StaticFiles(directory=f"{ROOT}/page"), name="static")

    return web_app
