"""A program that serves its app, deploys it, and calls it in both cases. It prints what it got as JSON."""

import json

import postern as modal

app = modal.App("program")


@app.function()
def square(x: int) -> int:
    return x * x


@app.function()
@modal.fastapi_endpoint()
def page() -> str:
    return "a page"


@app.function()
def across(environment: str) -> str:
    """What a container hears that calls a function of another environment."""
    return refusal(lambda: modal.Function.from_name("program", "square", environment_name=environment).remote(1))


@app.cls()
class Greeter:
    greeting: str = modal.parameter(default="hello")

    @modal.method()
    def greet(self, name: str) -> str:
        return f"{self.greeting} {name}"


def refusal(act) -> str:
    try:
        act()
    except modal.Error as error:
        return f"{type(error).__name__}: {error}"
    return "none"


@app.function()
@modal.asgi_app()
def front():
    async def hello(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})

    return hello


def main() -> None:
    before = refusal(lambda: square.remote(1))
    with modal.enable_output(), app.run() as running:
        served = [running is app, square.remote(4), list(square.map(range(3))), Greeter().greet.remote("you")]
    after = refusal(lambda: square.remote(1))
    app.deploy(tag="by-program")
    found = modal.Cls.from_name("program", "Greeter")
    deployed = [square.remote(5), found(greeting="bye").greet.remote("you"), found().greet.remote("all")]
    web = [
        modal.Function.from_name("program", "page").remote(),
        refusal(lambda: modal.Function.from_name("program", "front").remote()),
    ]
    square.update_autoscaler(max_containers=3)
    modal.Function.from_name("program", "square").keep_warm(1)
    found().update_autoscaler(scaledown_window=90)
    app.deploy(environment_name="dev")
    in_dev = modal.Function.from_name("program", "square", environment_name="dev").remote(6)
    apart = [in_dev, modal.Function.from_name("program", "across").remote("dev")]
    report = {"before": before, "served": served, "after": after, "deployed": deployed, "web": web, "apart": apart}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
