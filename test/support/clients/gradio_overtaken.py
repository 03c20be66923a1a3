"""A job of apps/gradio_app.py that ends another one, so that a client has two at once.

Usage: gradio_overtaken.py URL

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


def answer(url):
    client = Client(url, verbose=False)
    name = str(uuid4())
    working = client.submit(name, api_name="/work")
    end = time.monotonic() + TIMEOUT_S
    while not working.status().progress_data:
        if time.monotonic() > end:
            raise AssertionError("no progress of a job")
        time.sleep(0.1)
    place_and_words = client.submit(name, api_name="/finish").result(timeout=TIMEOUT_S)
    return str(place_and_words).split(" ", maxsplit=1)[1]


try:
    outcome = {"answer": answer(sys.argv[1])}
except BaseException as error:  # CancelledError is what gradio_client makes of a lost job.
    outcome = {"failure": type(error).__name__}
print(json.dumps(outcome), flush=True)
# The stream of a lost job never ends, and neither would this process.
os._exit(0)
