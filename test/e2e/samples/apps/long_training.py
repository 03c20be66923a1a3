"""Training that goes on from its last checkpoint after each interruption, in a container of its own each time."""

import os
from pathlib import Path

import postern as modal

volume = modal.Volume.from_name("example-long-training", create_if_missing=True)
app = modal.App("example-long-training", image=modal.Image.debian_slim())
CHECKPOINTS = Path(os.environ.get("TEST_CHECKPOINTS", "/nowhere"))

retries = modal.Retries(initial_delay=0.0, max_retries=10)


@app.function(volumes={CHECKPOINTS: volume}, timeout=30, retries=retries, single_use_containers=True)
def train_interruptible(experiment: str, epochs: int) -> list[str]:
    directory = CHECKPOINTS / experiment
    directory.mkdir(exist_ok=True)
    checkpoint = directory / "last.ckpt"
    lines = checkpoint.read_text().split() if checkpoint.exists() else []
    for epoch in range(len(lines), epochs):
        lines.append(f"{epoch}:{os.environ['POSTERN_CONTAINER_ID']}")
        checkpoint.write_text("\n".join(lines))
        volume.commit()
        if epoch == 0:
            # As where a container is preempted.
            os._exit(1)
        if epoch == 1:
            raise RuntimeError("interrupted")
    return lines


@app.local_entrypoint()
def main(experiment: str):
    lines = train_interruptible.spawn(experiment, 4).get()
    print([line.partition(":")[0] for line in lines], len({line.partition(":")[2] for line in lines}))
