"""Calls the functions of apps/gradio_features_app.py with gradio_client.

Usage: gradio_features.py URL

Prints what was seen as one JSON object.
"""

import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
from gradio_client import Client, handle_file
from localhost import resolve_localhost

TIMEOUT_S = 60

resolve_localhost()

client = Client(sys.argv[1], verbose=False)


def ask(api_name, *args):
    return client.submit(*args, api_name=api_name).result(timeout=TIMEOUT_S)


def at_once(calls):
    """The answers of calls that are made at once, in their order; of a failed one its error's name and text."""
    jobs = [client.submit(*args, api_name=api_name) for api_name, *args in calls]

    def answer(job):
        try:
            return job.result(timeout=TIMEOUT_S)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(answer, jobs))


def until(is_so):
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def load_example(number):
    """As a click on it does, which has no name for API clients."""
    [index] = [each["id"] for each in client.config["dependencies"] if each["api_name"] == "load_example"]
    return client.submit(number, fn_index=index).result(timeout=TIMEOUT_S)


seen = {"made_at_start": ask("/counted")["made"], "example": load_example(1)}
seen["made_by_example"] = ask("/counted")["made"] - seen["made_at_start"]

seen["limited"] = at_once([("/limited", f"{number}") for number in range(8)])
seen["most_at_once"] = ask("/counted")["most_at_once"]

seen["trimmed"] = at_once([("/trim", "abcdefghijkl"[number:], 2) for number in range(8)])
seen["shouted"] = at_once([("/shout", f"word {number}") for number in range(8)])
seen["batches"] = ask("/counted")["batches"]

gated = [client.submit(f"{number}", api_name="/gated") for number in range(30)]
# One of them runs, and those that find a full queue end at once.
until(lambda: sum(job.done() for job in gated) >= 13)
# Past the queue, which lets nobody in.
httpx.post(f"{client.src_prefixed}run/open_gate", json={"data": []}, timeout=TIMEOUT_S).raise_for_status()
errors = [job.exception(timeout=TIMEOUT_S) for job in gated]
seen["gated"] = errors.count(None)
seen["refused"] = sorted({str(error) for error in errors if error is not None})

with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / "note.txt"
    path.write_text("a note", encoding="utf-8")
    uploaded = ask("/where", handle_file(str(path)))
seen["uploaded"] = uploaded
seen["is_cleaned_up"] = until(lambda: not ask("/exists", uploaded))

# A page that is closed: its heartbeat breaks off.
with httpx.stream("GET", f"{client.src_prefixed}heartbeat/{uuid4()}", timeout=TIMEOUT_S) as heartbeat:
    next(heartbeat.iter_raw())
seen["is_unloaded"] = until(lambda: ask("/counted")["unloaded"] > 0)
print(json.dumps(seen))
# The threads of a client never end.
sys.stdout.flush()
os._exit(0)
