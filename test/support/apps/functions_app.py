"""Functions and classes that are called with pickles, from a local entrypoint and from each other."""

import asyncio
import base64
import json
import os
import sys
import time
from pathlib import Path

import postern as modal

app = modal.App("functions")


class OwnError(Exception):
    """An exception of the user's, with more than a text."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def until_there(file: str, text: str) -> None:
    """Waits until `file` has `text`, for half a minute at most."""
    until = time.monotonic() + 30
    while not os.path.exists(file) or Path(file).read_text() != text:
        if time.monotonic() > until:
            raise TimeoutError(f"{file} has no {text}")
        time.sleep(0.01)


@app.function(max_containers=2)
def square(x: int) -> int:
    return x * x


@app.function()
@modal.concurrent(max_inputs=20)
async def fail(code: int) -> None:
    raise OwnError(code)


@app.function()
def count(to: int):
    for number in range(to):
        yield number


@app.function()
async def yield_twice(file: str):
    """The second value comes when somebody writes `go` to `file`."""
    yield "first"
    await asyncio.to_thread(until_there, file, "go")
    yield "second"


@app.function()
@modal.concurrent(max_inputs=10)
def wait(file: str) -> str:
    """Begins `file`, and waits until somebody writes `go` there. Says there how it ended, a cancellation too."""
    try:
        Path(file).write_text("begun")
        until_there(file, "go")
        return "waited"
    finally:
        Path(file).write_text("ended")


@app.function()
@modal.batched(max_batch_size=3, wait_ms=10_000)
async def add(xs: list[int], ys: list[int]) -> list[tuple[int, int]]:
    return [(x + y, len(xs)) for x, y in zip(xs, ys)]


@app.function(retries=modal.Retries(max_retries=2, initial_delay=0.01))
def flaky(file: str) -> int:
    attempts = Path(file)
    attempts.write_text(attempts.read_text() + "x" if attempts.exists() else "x")
    if len(attempts.read_text()) < 3:
        raise RuntimeError("not yet")
    return len(attempts.read_text())


@app.function()
def unpicklable():
    return sys._getframe()


@app.function()
def die(file: str) -> str:
    marker = Path(file)
    if not marker.exists():
        marker.write_text("died")
        os._exit(1)
    return "lived"


@app.function(max_containers=4)
def square_or_die(x: int, file: str) -> int:
    """Its container dies once, while it works on the half of a thousand."""
    if x == 500 and not os.path.exists(file):
        Path(file).write_text("died")
        os._exit(1)
    return x * x


@app.function()
def identify() -> tuple[str | None, str | None, bool, str]:
    return modal.current_function_call_id(), modal.current_input_id(), modal.is_local(), os.environ["MODAL_TASK_ID"]


@app.function()
def get_result(call_id: str):
    """As a program does that was told no more than a call's id."""
    return modal.FunctionCall.from_id(call_id).get(timeout=30)


def call_ids(method) -> list:
    """What a function knows of its own call, and who reads its result by that."""
    identified = identify.spawn()
    told = identified.get(timeout=30)[0]
    of_method = method.spawn()
    of_method_told = of_method.get(timeout=30)
    words = json.loads(base64.urlsafe_b64decode(told[3:] + "=="))
    another = [*words[:2], "square", "square", *words[4:]]
    forged = "fc-" + base64.urlsafe_b64encode(json.dumps(another).encode()).decode()
    lost = "fc-" + base64.urlsafe_b64encode(json.dumps([*words[:5], "0" * 32]).encode()).decode()
    return [
        told == identified.object_id,
        get_result.remote(told)[0] == told,
        of_method_told == of_method.object_id,
        get_result.remote(of_method_told) == of_method_told,
        caught(get_result.remote, forged)[0],
        caught(get_result.remote, lost)[0],
        caught(modal.FunctionCall.from_id, "fc-short")[0],
    ]


@app.function(single_use_containers=True, max_containers=2)
def use_once(x: int) -> str:
    return os.environ["POSTERN_CONTAINER_ID"]


@app.function(single_use_containers=True, max_containers=1)
def use_or_wait(file: str) -> str:
    if file:
        Path(file).write_text("begun")
        until_there(file, "go")
    return os.environ["POSTERN_CONTAINER_ID"]


def used_after_cancel(file: str) -> bool:
    """A container whose only call was cancelled gets no other one."""
    call = use_or_wait.spawn(file)
    until_there(file, "begun")
    call.cancel()
    return use_or_wait.spawn("").get(timeout=60).startswith("ct-")


MOUNT = os.environ.get("TEST_MOUNT", "/nowhere")
volume = modal.Volume.from_name("files", create_if_missing=True)
counts = modal.Dict.from_name("counts", create_if_missing=True)


@app.function(volumes={MOUNT: volume}, max_containers=4)
def keep(number: int) -> None:
    Path(MOUNT, f"{number}.txt").write_text(str(number))
    counts.put(number, {"square": number * number})


@app.function()
@modal.fastapi_endpoint(method="POST")
def halved(x: int) -> dict:
    return {"half": x / 2}


@app.function()
@modal.asgi_app()
def page():
    async def empty(scope, receive, send): ...

    return empty


@app.cls(max_containers=1)
class Front:
    @modal.fastapi_endpoint()
    def endpoint(self, x: int) -> int:
        return x + 1

    @modal.wsgi_app()
    def pages(self):
        return lambda environ, start_response: []


@app.function()
def produce(into: modal.Queue, count: int) -> None:
    for number in range(count):
        into.put(number)


@app.cls(max_containers=1)
@modal.concurrent(max_inputs=5)
class Model:
    size: int = modal.parameter(default=3)

    @modal.enter()
    def load(self) -> None:
        self.entered = ["load"]

    @modal.enter()
    async def warm(self) -> None:
        self.entered.append("warm")

    @modal.method()
    def predict(self, x: int) -> tuple[int, list[str], str]:
        return x * self.size, self.entered, os.environ["POSTERN_CONTAINER_ID"]

    @modal.method()
    async def doubled(self, x: int) -> int:
        return 2 * self.predict.local(x)[0]

    @modal.method()
    def where(self) -> str:
        return os.environ["POSTERN_CONTAINER_ID"]

    @modal.method()
    def own_call(self) -> str | None:
        return modal.current_function_call_id()

    @modal.fastapi_endpoint(docs=True)
    def web(self, x: int) -> dict:
        return {"x": x * self.size, "container": self.where.local()}

    @modal.exit()
    def bye(self) -> None:
        print("model: bye")


Other = Model.with_options(max_containers=1, cpu=4).with_concurrency(max_inputs=3)
square_in_a_minute = square.with_options(timeout=60)


def variants() -> list:
    """Other options have containers of their own, which the same options find again."""
    same = modal.Cls.from_name("functions", "Model").with_concurrency(max_inputs=3).with_options(max_containers=1)
    where = [made().where.remote() for made in (Model, Other, same, Model.with_options(memory=1024))]
    call = square_in_a_minute.spawn(5)
    return [
        [where.index(each) for each in where],
        Other(size=4).predict.remote(5)[:2],
        Other().doubled.remote(5),
        square_in_a_minute.remote(3),
        call.get(timeout=30) == modal.FunctionCall.from_id(call.object_id).get(timeout=30),
        caught(Model.with_options(timeout=77)().where.remote)[:2],
        caught(lambda: Model.with_options(gpux=1))[0],
    ]


def streamed(file: str) -> list[str]:
    """The values, of which the second is made after the first came."""
    values = []
    for value in yield_twice.remote_gen(file):
        values.append(value)
        Path(file).write_text("go")
    return values


@app.cls(scaledown_window=30)
class Parametrized:
    foo: str = modal.parameter()
    bar: int = modal.parameter(default=10)
    loud: bool = modal.parameter(default=False)
    key: bytes = modal.parameter(default=b"")

    @modal.enter()
    def remember(self) -> None:
        self.entered = self.foo

    @modal.method()
    def baz(self, qux: str = "default") -> list:
        return [self.foo, self.bar, self.loud, self.key.decode(), self.entered, qux]

    @modal.method()
    def again(self) -> list:
        return self.baz.remote("again")


def parameters() -> list:
    first, second = Parametrized(foo="hedge hog", bar=7, loud=True, key=b"\xc3\xa9"), Parametrized(foo="fox")
    return [first.baz.remote(), second.baz.remote(qux="x"), first.again.remote()]


def caught(function, *arguments):
    try:
        return function(*arguments)
    except BaseException as error:
        return [type(error).__name__, str(error), str(error.__cause__ or "")]


@app.local_entrypoint()
def main(directory: str, times: int = 2, shout: bool = False):
    model = Model()
    call = wait.spawn(f"{directory}/waited")
    early = caught(call.get, 0)
    graph = call.get_call_graph()[0].children[0].status.name
    same = modal.FunctionCall.from_id(call.object_id)
    cancelled = wait.spawn(f"{directory}/cancelled")
    until_there(f"{directory}/cancelled", "begun")
    cancelled.cancel()
    until_there(f"{directory}/waited", "begun")
    Path(f"{directory}/waited").write_text("go")
    report = {
        "arguments": [times, shout],
        "square": square.remote(7),
        "local": square.local(8),
        "map": list(square.map(range(50))),
        "unordered": sorted(square.map(range(20), order_outputs=False)),
        "starmap": list(add.starmap([(1, 300), (2, 200), (3, 100)])),
        "exceptions": [str(each) for each in fail.map([1, 2], return_exceptions=True)],
        "raised": caught(lambda: list(fail.map([1]))),
        "code": caught_code(),
        "generator": list(count.remote_gen(5)),
        "streamed": streamed(f"{directory}/streamed"),
        "retried": flaky.remote(f"{directory}/attempts"),
        "unpicklable": caught(unpicklable.remote)[:1],
        "died": die.remote(f"{directory}/died"),
        "identity": identify.remote(),
        "call_ids": call_ids(model.own_call),
        "thousand": thousand(f"{directory}/thousand"),
        "early": early[0],
        "graph": graph,
        "late": same.get(timeout=30),
        "done": same.get_call_graph()[0].children[0].status.name,
        "gathered": modal.FunctionCall.gather(square.spawn(2), square.spawn(3)),
        "cancelled": caught(cancelled.get)[0],
        "model": model.predict.remote(5)[:2],
        "doubled": model.doubled.remote(5),
        "one_pool": len({model.where.remote(), model.predict.remote(1)[2]}),
        "attribute": model.size,
        "url": model.web.get_web_url(),
        "called": caught(square, 3)[:1],
        "web": served_to_the_web(model),
        "used_after_cancel": used_after_cancel(f"{directory}/once"),
        "spawned": spawned(),
        "variants": variants(),
        "used": len({use_once.remote(0), *use_once.map(range(1, 4))}),
        "parameters": parameters(),
        "wrong": [caught(lambda: Model(size="4"))[:2], caught(lambda: Parametrized())[:2]],
        "is_local": modal.is_local(),
        "shared": shared(),
        "absent": [caught(lambda: modal.Sandbox)[1], caught(modal.Dict.from_name("none").get, 1)[0]],
        "aio": asyncio.run(in_a_loop()),
    }
    until_there(f"{directory}/cancelled", "ended")
    print(json.dumps(report))


def served_to_the_web(model) -> list:
    """What answers a request by its value is called too; what makes an app is not."""
    call = halved.spawn(6)
    by_name = modal.Function.from_name("functions", "Front.pages")
    return [
        model.web.remote(2)["x"],
        halved.remote(3),
        list(halved.map([4, 8])),
        call.get(timeout=30),
        modal.FunctionCall.from_id(call.object_id).get(timeout=30),
        modal.Function.from_name("functions", "halved").remote(1),
        Front().endpoint.remote(1),
        caught(page.remote)[0],
        caught(Front().pages.remote)[:2],
        caught(by_name.remote)[:2],
        caught(modal.Function.from_name("functions", "Front.none").remote)[:2],
    ]


def spawned() -> list:
    """The calls of one spawn_map, and the results of a single call by the same words."""
    calls = square.spawn_map(range(30))
    single = square.spawn(7)
    return [
        calls.num_inputs(),
        list(calls.iter()) == [x * x for x in range(30)],
        [*calls.iter(start=1, end=3), calls.get(index=5), *single.iter()],
        caught(lambda: calls.object_id)[0],
        square.spawn_map([]),
    ]


def shared() -> list:
    import queue

    keep.for_each(range(20))
    files = sorted(int(entry.path.removesuffix(".txt")) for entry in volume.listdir())
    with volume.batch_upload(force=True) as batch:
        batch.put_file(__file__, "/own/app.py")
        batch.put_directory(Path(__file__).parent, "/neighbours", recursive=False)
    volume.copy_files(["/7.txt", "/8.txt"], "/copies")
    copies = sorted(each.path for each in volume.iterdir("/copies"))
    own = b"".join(volume.read_file("/neighbours/" + Path(__file__).name)) == b"".join(volume.read_file("/own/app.py"))
    again = caught(upload_again)[0]
    for directory in ("/own", "/neighbours", "/copies"):
        volume.remove_file(directory, recursive=True)
    with modal.Queue.ephemeral() as made:
        call = produce.spawn(made, 5)
        taken = [made.get(timeout=30) for _ in range(5)]
        call.get()
        try:
            made.get(block=False)
        except queue.Empty:
            taken.append("empty")
    return [files == list(range(20)), b"".join(volume.read_file("7.txt")).decode(), counts[7], counts.len(), 99 in counts, taken, copies, own, again]


def upload_again() -> None:
    with volume.batch_upload() as batch:
        batch.put_file(__file__, "7.txt")


def thousand(file: str) -> list:
    """Whether all came, in order, though a container died."""
    results = list(square_or_die.map(range(1000), kwargs={"file": file}))
    return [results == [x * x for x in range(1000)], os.path.exists(file)]


def caught_code():
    try:
        fail.remote(42)
    except OwnError as error:
        return error.code


async def in_a_loop():
    results = [result async for result in square.map.aio(range(4))]
    values = [value async for value in count.remote_gen.aio(3)]
    call = await square.spawn.aio(9)
    async with modal.Dict.ephemeral() as made:
        await made.put.aio("a", 1)
        kept = [await made.get.aio("a"), [key async for key in made.keys.aio()]]
    await volume.commit.aio()
    kept.append([b"".join([part async for part in volume.read_file.aio("7.txt")]).decode(), await square.get_web_url.aio()])
    return [await square.remote.aio(3), results, values, await call.get.aio(timeout=20), kept]
