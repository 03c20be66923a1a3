"""Ollama in a class: a hook begins it and loads the models, its port is served, and a method asks it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import postern as modal

MODELS = ["llama3.1:8b", "llama3.3:70b"]
PORT = int(os.environ["TEST_PORT"])
MODEL_DIR = os.environ["TEST_MODELS"]
# The program is stubbed.
OLLAMA = [sys.executable, str(Path(__file__).parent / "stub.py")]

variables = {"OLLAMA_HOST": f"127.0.0.1:{PORT}", "OLLAMA_MODELS": MODEL_DIR, "TEST_PORT": str(PORT), "TEST_MODELS": MODEL_DIR}
app = modal.App("example-ollama", image=modal.Image.debian_slim().env(variables))
model_volume = modal.Volume.from_name("ollama-models-store", create_if_missing=True)


@app.cls(volumes={MODEL_DIR: model_volume}, timeout=60 * 5)
class OllamaServer:
    ollama_process: subprocess.Popen | None = None

    @modal.enter()
    async def start_ollama(self):
        self.ollama_process = subprocess.Popen([*OLLAMA, "serve"])
        there = subprocess.run([*OLLAMA, "list"], capture_output=True, text=True, check=True).stdout
        for model in MODELS:
            if model not in there:
                pull = await asyncio.create_subprocess_exec(*OLLAMA, "pull", model)
                assert await pull.wait() == 0
        await asyncio.get_running_loop().run_in_executor(None, model_volume.commit)
        print("Ollama setup complete.")

    @modal.exit()
    def stop_ollama(self):
        if self.ollama_process and self.ollama_process.poll() is None:
            self.ollama_process.terminate()
            self.ollama_process.wait(timeout=10)

    @modal.web_server(port=PORT, startup_timeout=180)
    def serve(self):
        print(f"Serving Ollama API on port {PORT}")

    @modal.method()
    async def run_tests(self):
        return {model: await asyncio.to_thread(ask, model, "Explain it.") for model in MODELS}


def ask(model: str, prompt: str) -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]}).encode()
    headers = {"content-type": "application/json"}
    with urlopen(Request(f"http://localhost:{PORT}/v1/chat/completions", body, headers)) as response:
        return json.load(response)["choices"][0]["message"]["content"]


@app.function(image=modal.Image.debian_slim().env(variables))
@modal.fastapi_endpoint()
async def tested() -> dict:
    return await OllamaServer().run_tests.remote.aio()
