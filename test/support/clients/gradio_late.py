"""Two jobs of apps/gradio_app.py by one client: the second one at once with the first, or when that has ended.

Usage: gradio_late.py URL at-once|in-turn

Prints a JSON object: `answer`, the second job's, or `failure`.
"""

import json
import os
import sys
import time
from uuid import uuid4

from gradio_client import Client
from localhost import resolve_localhost

# A job that was lost may hang.
TIMEOUT_S = 30

resolve_localhost()


def at_once(client):
    name = str(uuid4())
    working = client.submit(name, api_name="/work")
    end = time.monotonic() + TIMEOUT_S
    while not working.status().progress_data:
        if time.monotonic() > end:
            raise AssertionError("no progress of a job")
        time.sleep(0.1)
    return client.submit(name, api_name="/finish")


def in_turn(client):
    client.submit(api_name="/count").result(timeout=TIMEOUT_S)
    return client.submit(api_name="/count")


url, when = sys.argv[1:]
try:
    client = Client(url, verbose=False)
    second = at_once(client) if when == "at-once" else in_turn(client)
    place_and_words = second.result(timeout=TIMEOUT_S)
    outcome = {"answer": str(place_and_words).split(" ", maxsplit=1)[1]}
except BaseException as error:  # CancelledError is what gradio_client makes of a lost job.
    outcome = {"failure": type(error).__name__}
print(json.dumps(outcome), flush=True)
# The stream of a lost job never ends, and neither would this process.
os._exit(0)
