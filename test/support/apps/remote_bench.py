"""The round trip of `remote`, beside a bare HTTP request to the same function: both in turn, by one caller."""

import http.client
import json
import statistics
import time
from urllib.parse import urlsplit

import postern as modal

app = modal.App("remote-bench")


def squared(x: int) -> int:
    return x * x


@app.function(max_containers=1, min_containers=1)
async def square(x: int) -> int:
    return squared(x)


@app.function(max_containers=1, min_containers=1)
@modal.fastapi_endpoint()
async def web(x: int) -> int:
    return squared(x)


def bare_request():
    """Asks over a connection of its own, which is kept."""
    parts = urlsplit(web.get_web_url() or "")
    connection = http.client.HTTPConnection("127.0.0.1", parts.port)

    def ask(x: int) -> int:
        connection.request("GET", f"/?x={x}", headers={"Host": parts.netloc})
        return json.loads(connection.getresponse().read())

    return ask


@app.local_entrypoint()
def main(rounds: int = 10, calls: int = 50):
    ways = {"remote": square.remote, "bare": bare_request()}
    took: dict = {name: [] for name in ways}
    for ask in ways.values():
        for x in range(calls):
            ask(x)
    for turn in range(rounds):
        for name in sorted(ways, reverse=turn % 2 == 1):
            for x in range(calls):
                began = time.perf_counter()
                answer = ways[name](x)
                took[name].append((time.perf_counter() - began) * 1000)
                assert answer == x * x
    print(json.dumps({name: statistics.median(each) for name, each in took.items()}))
