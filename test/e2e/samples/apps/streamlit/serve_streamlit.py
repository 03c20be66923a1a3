"""Streamlit, by its own command, with its script at another path."""

import os
import shlex
import subprocess
from pathlib import Path

import postern as modal

local_path = Path(__file__).parent / "page.py"
remote_path = os.environ["TEST_SCRIPT"]
image = (
    modal.Image.debian_slim()
    .uv_pip_install("streamlit~=1.35.0", "numpy~=1.26.4", "pandas~=2.2.2")
    .env({"TEST_SCRIPT": remote_path, "TEST_PORT": os.environ["TEST_PORT"]})
    .add_local_file(local_path, remote_path)
)
app = modal.App(name="example-serve-streamlit", image=image)


@app.function()
@modal.concurrent(max_inputs=100)
@modal.web_server(int(os.environ["TEST_PORT"]), startup_timeout=120)
def run():
    target = shlex.quote(remote_path)
    flags = f"--server.port {os.environ['TEST_PORT']} --server.address 127.0.0.1 --server.headless true"
    subprocess.Popen(f"streamlit run {target} {flags}", shell=True)
