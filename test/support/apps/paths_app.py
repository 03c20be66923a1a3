"""An inference server with a route that no stranger may ask for, as vLLM has in its development mode."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/v1/models")
def models() -> str:
    return "models"


@app.get("/sleep")
def sleep() -> str:
    return "asleep"
