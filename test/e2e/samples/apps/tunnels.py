"""In the form of the guide's chapter Tunnels. Python's own file server stands for JupyterLab."""

import secrets
import socket
import subprocess
import sys

import postern as modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]")
app = modal.App("example-tunnels", image=image)


def free_port() -> int:
    """The guide has 8888 here; containers of one box share its ports."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@app.function()
def start_app():
    with modal.forward(free_port()) as tunnel:
        print(f"tunnel.url        = {tunnel.url}")
        print(f"tunnel.tls_socket = {tunnel.tls_socket}")


@app.function(timeout=900)
def run_jupyter(q):
    port = free_port()
    token = secrets.token_urlsafe(13)
    with modal.forward(port) as tunnel:
        q.put(tunnel.url + "/?token=" + token)
        subprocess.run([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)])


@app.function()
@modal.fastapi_endpoint(method="POST")
def jupyter_hub(secret: str):
    from fastapi import HTTPException
    from fastapi.responses import RedirectResponse

    if secret == "open sesame":
        with modal.Queue.ephemeral() as q:
            run_jupyter.spawn(q)
            url = q.get()
            return RedirectResponse(url, status_code=303)

    else:
        raise HTTPException(401, "Not authenticated")
