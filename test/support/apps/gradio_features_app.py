"""A Gradio app with what its guides on performance and cleanup offer, and counters that tell what came of it."""

import os
import threading
import time
from pathlib import Path

import gradio as gr

counted = {"most_at_once": 0, "batches": [], "made": 0, "unloaded": 0}
lock = threading.Lock()
at_once = 0
gate = threading.Event()


def limited(name):
    """Runs in two calls at once at most, by `concurrency_limit`."""
    global at_once
    with lock:
        at_once += 1
        counted["most_at_once"] = max(counted["most_at_once"], at_once)
    time.sleep(0.2)
    with lock:
        at_once -= 1
    return f"limited {name}"


def gated(name):
    """Runs until `open_gate` is called."""
    gate.wait(60)
    return f"gated {name}"


def open_gate():
    gate.set()
    return "open"


def trim(words, lengths):
    """A batch: lists come in, and a list for each output goes out."""
    counted["batches"].append(len(words))
    time.sleep(0.3)
    return [[word[: int(length)] for word, length in zip(words, lengths)]]


def shout(words):
    counted["batches"].append(len(words))
    time.sleep(0.3)
    return [[word.upper() for word in words]]


def make(text):
    """Its results for the examples are made at the start, once."""
    counted["made"] += 1
    return f"made of {text}"


def unloaded():
    counted["unloaded"] += 1


with gr.Blocks(title="Features", delete_cache=(1, 2)) as demo:
    text = gr.Textbox()
    number = gr.Number()
    said = gr.Textbox()
    file = gr.File()
    told = gr.JSON()
    gr.Button().click(limited, [text], [said], api_name="limited", concurrency_limit=2)
    gr.Button().click(gated, [text], [said], api_name="gated", concurrency_limit=1)
    gr.Button().click(open_gate, None, [said], api_name="open_gate", queue=False)
    batch = {"batch": True, "max_batch_size": 16, "concurrency_limit": 1}
    gr.Button().click(trim, [text, number], [said], api_name="trim", **batch)
    gr.Button().click(lambda name: str(name), [file], [said], api_name="where")
    gr.Button().click(lambda path: Path(path).exists(), [text], [told], api_name="exists", queue=False)
    gr.Button().click(lambda: counted, None, [told], api_name="counted", queue=False)
    gr.Interface(shout, "text", "text", api_name="shout", **batch)
    gr.Interface(make, "text", "text", examples=[["one"], ["two"]], cache_examples=True, api_name="make")
    demo.unload(unloaded)

demo.queue(max_size=16, default_concurrency_limit=4).launch(
    server_name="127.0.0.1", server_port=int(os.environ["PORT"]), show_error=True, quiet=True, ssr_mode=False
)
