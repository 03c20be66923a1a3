"""A class in the form of Modal's sample for Ollama: a server on its own port, and a method that asks it."""

import os
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import postern as modal
import postern.experimental

app = modal.App("served")

PORT = int(os.environ["TEST_PORT"])
URL = f"http://127.0.0.1:{PORT}"
BARE_PORT = int(os.environ["TEST_BARE_PORT"])
ENV = {"TEST_PORT": str(PORT), "TEST_BARE_PORT": str(BARE_PORT)}


@app.cls(env=ENV)
@modal.concurrent(max_inputs=10)
class Server:
    process: subprocess.Popen | None = None

    @modal.enter()
    async def start(self) -> None:
        print("server: enter")
        self.process = subprocess.Popen([sys.executable, "-m", "http.server", str(PORT), "--bind", "127.0.0.1"])
        self.until_it_listens()
        self.is_ready = True

    def until_it_listens(self) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                return urlopen(URL).close()
            except URLError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    @modal.web_server(port=PORT, startup_timeout=60)
    def serve(self) -> None:
        print(f"server: serves {PORT}")

    @modal.method()
    async def ask(self, path: str) -> tuple[int, bool, str]:
        with urlopen(URL + path) as response:
            return response.status, self.is_ready, os.environ["POSTERN_CONTAINER_ID"]

    @modal.method()
    def names(self):
        yield from sorted(os.listdir())

    @modal.exit()
    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        print(f"server: exit {self.process.wait()}")


@app.cls(env=ENV, min_containers=1)
@postern.experimental.http_server(port=BARE_PORT, proxy_regions=["us-east"], exit_grace_period=5)
@modal.concurrent(target_inputs=20)
class Bare:
    """In the form of the sample for SGLang."""

    @modal.enter(snap=True)
    def start(self) -> None:
        command = [sys.executable, "-m", "http.server", str(BARE_PORT), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(command)

    @modal.exit()
    def stop(self) -> None:
        self.process.terminate()


@app.function(env=ENV)
@modal.fastapi_endpoint()
def asking() -> dict:
    server = Server()
    answers = [server.ask.remote("/"), server.ask.remote("/served.py")]
    return {
        "answers": [answer[:2] for answer in answers],
        "containers": len({answer[2] for answer in answers}),
        "names": list(server.names.remote_gen()),
        "url": server.serve.get_web_url(),
        "bare": Bare._experimental_get_flash_urls(),
    }
