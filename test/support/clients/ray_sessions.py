"""Sessions with gradio_client, all at once, at the Gradio app of apps/ray_app.py.

Usage: ray_sessions.py URL COUNT

Prints a JSON list with one object for each session: `places`, the processes that served it, or `failure`.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from gradio_client import Client
from localhost import resolve_localhost

TIMEOUT_S = 60

resolve_localhost()


def session(url):
    client = Client(url, verbose=False)
    places = []

    def seen(answer, said):
        place, _, rest = answer.partition(" ")
        places.append(place)
        assert rest == said, f"{rest} instead of {said}"

    for counted in ("1", "2", "3"):
        seen(client.submit(api_name="/count").result(timeout=TIMEOUT_S), counted)
    job = client.submit("one two", api_name="/ask")
    seen(job.result(timeout=TIMEOUT_S), "small:one small:two large:one large:two")
    assert len(job.outputs()) == 4, f"{len(job.outputs())} parts of a stream of 4"
    seen(client.submit(api_name="/count").result(timeout=TIMEOUT_S), "4")
    return places


def outcome(url):
    try:
        return {"places": session(url)}
    except BaseException as error:  # CancelledError is what gradio_client makes of a lost session.
        return {"failure": f"{type(error).__name__}: {error}"}


url, count = sys.argv[1], int(sys.argv[2])
with ThreadPoolExecutor(count) as threads:
    print(json.dumps(list(threads.map(outcome, [url] * count))), flush=True)
# Streams of lost sessions never end, and neither would this process.
os._exit(0)
