"""A Gradio app with state of each visitor, a stream and a file.

It knows nothing of Postern: `uvicorn app:app` serves it as well. The session of a visitor lives in the memory of one
process, so `affinity = "gradio"` in postern.toml brings a visitor back to the same container.
"""

import tempfile
import time
from collections.abc import Iterator

import gradio as gr
from fastapi import FastAPI


def answer(message: str, history: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Streams an answer word by word, and remembers what this visitor has said."""
    history = [*history, message]
    shown = ""
    for word in f"You have said {len(history)} things: {', '.join(history)}.".split():
        shown += word + " "
        time.sleep(0.05)
        yield shown, history


def transcript(history: list[str]) -> str:
    """A file for the visitor to download."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
        file.write("\n".join(history))
    return file.name


with gr.Blocks(title="Gradio behind Postern") as demo:
    history = gr.State([])
    message = gr.Textbox(label="Say something")
    shown = gr.Textbox(label="Answer")
    message.submit(answer, [message, history], [shown, history])
    gr.Button("Transcript").click(transcript, history, gr.File())

demo.queue(max_size=100, default_concurrency_limit=8)
app = gr.mount_gradio_app(FastAPI(), demo, path="/")
