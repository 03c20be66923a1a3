"""A Gradio app on $PORT that takes the seconds that it is told for an answer, and says how often each question was asked."""

import os
import time
from collections import Counter

import gradio as gr

counts = Counter()


def work(seconds: float, question: str) -> str:
    counts[question] += 1
    time.sleep(seconds)
    return f"{question} {counts[question]}"


with gr.Blocks() as app:
    gr.api(work, api_name="work")

app.launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]))
