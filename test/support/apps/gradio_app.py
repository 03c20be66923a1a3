"""A Gradio app that tells which container does each step of a session. It runs under Gradio 3.50 to 6.

Each function has a name for API clients, and a button in the page whose output appears in the box `seen`.
"""

import os
import tempfile
import time
from pathlib import Path

import gradio as gr

PLACE = f"{os.environ.get('POSTERN_BOX', 'box')}/{os.getpid()}"
MAJOR = int(gr.__version__.split(".", maxsplit=1)[0])

# Between two steps of a long job. Twenty pages that draw each of them keep two cores busy.
STEP_S = 0.5
# When each job of `hold` last went on in this process; one that does not for this long has ended.
beats = {}
STILL_S = 3
# The jobs of `work` that may end.
finished = set()


def count(number):
    """Counts in the session's state: another process begins at 1 again."""
    return number + 1, f"{PLACE} {number + 1}"


def stream():
    for part in range(5):
        yield f"{PLACE} part {part}"
        time.sleep(0.05)


def receive():
    return f"{PLACE} received"


def stamp(file):
    """Hands the file back with this process in front of its content."""
    content = Path(getattr(file, "name", file)).read_text(encoding="utf-8")
    stamped = Path(tempfile.mkdtemp()) / "stamped.txt"
    stamped.write_text(f"{PLACE} {content}", encoding="utf-8")
    return str(stamped)


def work(name, progress=gr.Progress()):
    """Shows its progress until `finish` is called under the same name in the same process."""
    steps = 0
    while name not in finished:
        steps += 1
        progress((steps % 100, 100), desc="at work")
        time.sleep(STEP_S)
    return f"{PLACE} worked"


def finish(name):
    finished.add(name)
    return f"{PLACE} finishes"


def hold(name):
    """Runs until it is cancelled."""
    while True:
        beats[name] = time.monotonic()
        yield f"{PLACE} holds"
        time.sleep(STEP_S)


def holding(name):
    """A cancelled generator may never be closed: a job runs that goes on."""
    is_held = time.monotonic() - beats.get(name, 0) < STILL_S
    return f"{PLACE} {'holds' if is_held else 'free'}"


with gr.Blocks(title="Sessions") as demo:
    number = gr.State(0)
    name = gr.Textbox(elem_id="name")
    seen = gr.Textbox(elem_id="seen")
    told = gr.Textbox(elem_id="told")
    file = gr.File(elem_id="file")
    stamped = gr.File(elem_id="stamped", interactive=False)
    gr.Button("count").click(count, [number], [number, seen], api_name="count")
    gr.Button("stream").click(stream, None, [seen], api_name="stream")
    file.upload(receive, None, [told], api_name="receive")
    gr.Button("stamp").click(stamp, [file], [stamped], api_name="stamp")
    gr.Button("work").click(work, [name], [seen], api_name="work")
    gr.Button("finish").click(finish, [name], [told], api_name="finish")
    job = gr.Button("hold").click(hold, [name], [seen], api_name="hold")
    gr.Button("cancel").click(None, None, None, cancels=[job])
    gr.Button("holding").click(holding, [name], [told], api_name="holding")

limit = {"concurrency_count": 40} if MAJOR == 3 else {"default_concurrency_limit": 40}
demo.queue(**limit).launch(
    server_name="127.0.0.1",
    server_port=int(os.environ["PORT"]),
    show_error=True,
    quiet=True,
    **({"ssr_mode": False} if MAJOR >= 5 else {}),
)
