"""Sessions with gradio_client, all at once: each goes through the functions of apps/gradio_app.py.

Usage: gradio_sessions.py URL COUNT [HEADER]

With the name of a header each session sends a value of its own in it. Prints a JSON list with one object for each session: `places`, the processes that served it, or `failure`.
"""

import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from gradio_client import Client
from localhost import resolve_localhost

try:
    from gradio_client import handle_file
except ImportError:  # Before gradio_client 1 a path was enough.
    handle_file = str

TIMEOUT_S = 60
# The stream of jobs that have ended closes sooner.
REST_S = 2

resolve_localhost()


def expect(is_so, what):
    if not is_so:
        raise AssertionError(what)


def session(url, number):
    client = Client(url, verbose=False)
    for header in sys.argv[3:]:
        client.headers[header] = str(uuid4())
    places = []

    def seen(answer, *rest):
        place, *said = str(answer).split(" ")
        places.append(place)
        expect(said == list(rest), f"{answer} instead of {' '.join(rest)}")

    def rest():
        """A job that is named while the client's stream closes is lost, without Postern too (gradio_late.py)."""
        end = time.monotonic() + REST_S
        while getattr(client, "stream_open", False) and time.monotonic() < end:
            time.sleep(0.01)

    def ask(api_name, *args, rests=True):
        if rests:
            rest()
        return client.submit(*args, api_name=api_name).result(timeout=TIMEOUT_S)

    for counted in ("1", "2", "3"):
        seen(ask("/count"), counted)
    rest()
    job = client.submit(api_name="/stream")
    seen(job.result(timeout=TIMEOUT_S), "part", "4")
    expect(len(job.outputs()) == 5, f"{len(job.outputs())} parts of a stream of 5")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"note-{number}.txt"
        path.write_text(f"content-{number}", encoding="utf-8")
        stamped = ask("/stamp", handle_file(str(path)))
    seen(Path(stamped).read_text(encoding="utf-8"), f"content-{number}")
    name = str(uuid4())
    rest()
    working = client.submit(name, api_name="/work")
    until(lambda: working.status().progress_data, "no progress of a job")
    seen(ask("/finish", name, rests=False), "finishes")
    seen(working.result(timeout=TIMEOUT_S), "worked")
    rest()
    held = client.submit(name, api_name="/hold")
    until(lambda: held.outputs(), "no output of a job that holds")
    seen(held.outputs()[0], "holds")
    seen(ask("/holding", name, rests=False), "holds")
    held.cancel()
    until(lambda: str(ask("/holding", name)).endswith(" free"), "a cancelled job runs on")
    seen(ask("/count"), "4")
    return places


def until(is_so, what):
    end = time.monotonic() + TIMEOUT_S
    while not is_so():
        expect(time.monotonic() < end, what)
        time.sleep(0.1)


def outcome(url, number):
    try:
        return {"places": session(url, number)}
    except BaseException as error:  # CancelledError is what gradio_client makes of a lost session.
        return {"failure": f"{type(error).__name__}: {error}"}


url, count = sys.argv[1], int(sys.argv[2])
with ThreadPoolExecutor(count) as threads:
    outcomes = list(threads.map(lambda number: outcome(url, number), range(count)))
print(json.dumps(outcomes), flush=True)
# Streams of lost sessions never end, and neither would this process.
os._exit(0)
