"""Functions that forward a port of their container, and ask its public URL while it is there and afterwards."""

import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import postern as modal

app = modal.App("forwarding")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "host": self.headers["host"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments) -> None:
        pass


def served_port() -> int:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def ask(url: str) -> tuple[int, bytes]:
    """As a client anywhere: the name is the gateway's, which is on this machine here."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port)
    connection.request("GET", "/path?query", headers={"Host": parts.netloc})
    response = connection.getresponse()
    return response.status, response.read()


def asked(tunnel) -> dict:
    status, body = ask(tunnel.url)
    answer = json.loads(body)
    return {
        "status": status,
        "path": answer["path"],
        "is_public_host": answer["host"] == urlsplit(tunnel.url).netloc,
        "sockets": tunnel.tls_socket == (tunnel.host, tunnel.port) and tunnel.tls_socket[0] in tunnel.url,
    }


def status_when_gone(url: str) -> int:
    """Of a closed tunnel, which the gateway forgets a moment later."""
    until = time.monotonic() + 15
    while True:
        status, _ = ask(url)
        if status == 404 or time.monotonic() > until:
            return status
        time.sleep(0.1)


@app.function()
def in_thread() -> dict:
    port = served_port()
    with modal.forward(port) as tunnel, modal.forward(port) as other:
        answers = [asked(tunnel), asked(other)]
    return {"answers": answers, "differ": tunnel.url != other.url, "gone": status_when_gone(tunnel.url)}


@app.function()
async def in_event_loop() -> list:
    # Both block the loop; the tunnel opens all the same.
    with modal.forward(served_port()) as tunnel:
        first = asked(tunnel)
    async with modal.forward(served_port()) as tunnel:
        return [first, asked(tunnel)]


@app.function()
def in_a_process_of_its_own() -> str:
    program = "import postern\nwith postern.forward(8000): pass"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=sys.path[1]))
    return done.stderr.strip().splitlines()[-1]


def refusal(act) -> str:
    try:
        act()
    except modal.Error as error:
        return f"{type(error).__name__}: {error}"
    return "none"


@app.local_entrypoint()
def main() -> None:
    with modal.forward(served_port()) as tunnel:
        here = asked(tunnel)
    report = {
        "here": here,
        "thread": in_thread.remote(),
        "loop": in_event_loop.remote(),
        "process": in_a_process_of_its_own.remote(),
        "refused": [
            refusal(lambda: modal.forward(8000, unencrypted=True)),
            refusal(lambda: modal.forward(0)),
            refusal(lambda: tunnel.tcp_socket),
        ],
    }
    print(json.dumps(report))
