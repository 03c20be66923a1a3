/** Python files as apps: what their decorators become, and what is wrong with them. No package is needed for it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readApp } from "../../cli/app-config.ts";
import { CommandFailure } from "../../cli/failure.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** Writes a file that begins with these two lines, so that `text` begins on line 3. */
function written(text: string, name = "shop"): string {
  const file = join(temporaryDirectory(), `${name}.py`);
  writeFileSync(file, `import postern as modal\napp = modal.App("shop")\n${text}`);
  return file;
}

async function described(text: string) {
  const { document } = await readApp(written(text), {});
  return document as { app: string; endpoint: Record<string, unknown>[] };
}

/** The messages, without the file's path. */
async function mistakes(text: string): Promise<string[]> {
  const file = written(text);
  try {
    await readApp(file, {});
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    return error.message.replaceAll(`${file}:`, "").split("\n");
  }
  return [];
}

const PACKAGES = ["fastapi[standard]", "uvicorn[standard]", "cloudpickle", "python-multipart"];
const IMAGE = `image = modal.Image.debian_slim().pip_install("fastapi[standard]")\n`;

describe("a function", () => {
  test("that is served to the web is an endpoint with its settings", async () => {
    const { app, endpoint } = await described(`${IMAGE}
@app.function(image=image, gpu="H100:2", timeout=60, min_containers=1, max_containers=3,
              scaledown_window=5, secrets=[modal.Secret.from_name("s")], env={"A": "1"})
@modal.concurrent(max_inputs=100, target_inputs=80)
@modal.asgi_app(label="front", requires_proxy_auth=True)
def web(): ...
`);
    expect(app).toBe("shop");
    expect(endpoint).toEqual([
      {
        function: "web",
        python_function: "shop:web",
        label: "front",
        requires_proxy_auth: true,
        gpus: "H100:2",
        timeout: 60,
        min_containers: 1,
        max_containers: 3,
        scaledown_window: 5,
        secrets: ["s"],
        env: { A: "1" },
        requirements: PACKAGES,
        max_inputs: 100,
        target_inputs: 80,
      },
    ]);
  });

  test("that nobody serves opens to the app alone", async () => {
    const { endpoint } = await described(`${IMAGE}
@app.function(image=image, retries=2)
def work(x): ...
`);
    expect(endpoint).toMatchObject([
      { function: "work", requires_app_token: true, retries: { max_retries: 2 } },
    ]);
    const { config } = await readApp(written("@app.function()\ndef work(x): ...\n"), {});
    expect(config.endpoints[0]).toMatchObject({ requiresAppToken: true, requiresProxyAuth: true });
  });

  test("of a web server has its port, and one container", async () => {
    const { endpoint } = await described(`
@app.function()
@modal.web_server(8123, startup_timeout=10)
def server(): ...
`);
    expect(endpoint).toMatchObject([{ port: 8123, max_containers: 1, startup_timeout: 70 }]);
  });
});

test("a class has one pool, and names of its own for what is served to the web", async () => {
  const { endpoint } = await described(`${IMAGE}
@app.cls(image=image, max_containers=2)
@modal.concurrent(max_inputs=4)
class Model:
    @modal.enter()
    def load(self): ...
    @modal.method()
    def predict(self, x): ...
    @modal.fastapi_endpoint(method="POST")
    def web(self, x: int): ...
`);
  expect(endpoint).toMatchObject([
    { function: "Model", python_function: "shop:Model", max_inputs: 4, requires_app_token: true },
    { function: "Model.web", containers_of: "Model", cors: true },
  ]);
});

test("a class with a web server of its own has that one's port, and methods beside it", async () => {
  const { endpoint } = await described(`
@app.cls(timeout=100)
class Server:
    @modal.enter()
    def start(self): ...
    @modal.web_server(8123, startup_timeout=10, label="server")
    def serve(self): ...
    @modal.method()
    def ask(self): ...
`);
  expect(endpoint).toMatchObject([
    {
      function: "Server",
      port: 8123,
      max_containers: 1,
      startup_timeout: 110,
      requires_app_token: true,
    },
    { function: "Server.serve", containers_of: "Server", label: "server" },
  ]);
  expect(endpoint[1]).not.toHaveProperty("port");
});

test("a server that hooks begin has its port, and as many requests as it likes", async () => {
  const { endpoint } = await described(`
@app.cls(timeout=100)
@modal.experimental.http_server(port=8123, proxy_regions=["us-east"], exit_grace_period=5)
@modal.concurrent(target_inputs=20)
class Server:
    @modal.enter()
    def start(self): ...
`);
  expect(endpoint).toMatchObject([
    {
      function: "Server.serve",
      python_function: "shop:Server",
      port: 8123,
      max_inputs: 1000,
      target_inputs: 20,
      startup_timeout: 130,
      exit_grace_period: 5,
    },
  ]);
});

test("containers of a single use take calls alone, one at a time", async () => {
  const right = `@app.function(single_use_containers=True)\ndef work(): ...\n`;
  expect((await described(right)).endpoint).toMatchObject([{ function: "work" }]);
  const found = await mistakes(`
@app.function(single_use_containers=True)
@modal.fastapi_endpoint()
def page(): ...
@app.function(single_use_containers=True)
@modal.concurrent(max_inputs=2)
def work(): ...
`);
  expect(found).toEqual([
    "2 mistakes",
    expect.stringMatching(/^4: page: single_use_containers is for functions that remote calls/),
    expect.stringMatching(/^7: work: single_use_containers gives a container one call/),
  ]);
});

test("what has other options has containers of its own, which take calls alone", async () => {
  const { endpoint } = await described(`${IMAGE}
@app.cls(image=image, gpu="A100", timeout=60)
class Model:
    size: int = modal.parameter(default=3)
    @modal.method()
    def predict(self, x): ...
    @modal.fastapi_endpoint()
    def web(self): ...
Fast = Model.with_options(gpu="H100", scaledown_window=5).with_concurrency(max_inputs=10)
Same = Model.with_concurrency(max_inputs=10).with_options(scaledown_window=5, gpu="H100", cpu=4)
Model.with_options(memory=1024)

@app.function(image=image)
def work(x): ...
batched = work.with_batching(max_batch_size=5, wait_ms=10)
`);
  expect(endpoint).toMatchObject([
    { function: "Model", gpus: "A100", timeout: 60, requires_app_token: true },
    { function: "Model.web", containers_of: "Model" },
    {
      function: expect.stringMatching(/^Model_with_[0-9a-f]{8}$/),
      python_function: expect.stringMatching(/^shop:Model_with_[0-9a-f]{8}$/),
      gpus: "H100",
      timeout: 60,
      scaledown_window: 5,
      max_inputs: 10,
      parameters: { size: { type: "int", default: 3 } },
      requires_app_token: true,
    },
    { function: "work" },
    { function: expect.stringMatching(/^work_with_/), max_inputs: 5, requires_app_token: true },
  ]);
  expect(endpoint).toHaveLength(5);
});

test("what answers a request by its value has a second name, by which the app calls it", async () => {
  const { endpoint } = await described(`${IMAGE}
@app.function(image=image, timeout=60, retries=2)
@modal.fastapi_endpoint()
def hello(x: int): ...

@app.cls(image=image)
class Front:
    @modal.fastapi_endpoint()
    def one(self): ...
`);
  expect(endpoint).toMatchObject([
    { function: "hello", python_function: "shop:hello", cors: true },
    {
      function: "hello.remote",
      containers_of: "hello",
      requires_app_token: true,
      timeout: 60,
      retries: { max_retries: 2 },
    },
    { function: "Front", python_function: "shop:Front", requires_app_token: true },
    { function: "Front.one", containers_of: "Front", cors: true },
  ]);
});

test("a class that is served to the web alone begins with its first endpoint", async () => {
  const { endpoint } = await described(`
@app.cls()
class Front:
    @modal.asgi_app()
    def one(self): ...
    @modal.wsgi_app()
    def two(self): ...
`);
  expect(endpoint).toMatchObject([
    { function: "Front.one", python_function: "shop:Front" },
    { function: "Front.two", containers_of: "Front.one" },
  ]);
});

test("all mistakes come at once, each with its line", async () => {
  const found = await mistakes(`
@app.function(gpux=1, keep_warm=2)
def first(): ...

@app.function(schedule=modal.Cron("* * * * *"), max_containers=0)
@modal.asgi_app()
def second(needed): ...

@app.function(timeout="long", postern={"affinty": "gradio"})
def third(): ...
`);
  expect(found).toEqual([
    "5 mistakes",
    expect.stringMatching(/^4: first: unknown argument gpux; known are timeout,/),
    "4: first: keep_warm is called min_containers",
    expect.stringMatching(/^7: modal.Cron is not supported: .*postern run/),
    expect.stringMatching(/^7: second: schedule is not supported/),
    "8: @asgi_app calls its function without arguments, and second needs needed",
  ]);
});

test("what the file's own checks let pass is judged as a postern.toml is", async () => {
  expect(
    await mistakes(`
@app.function(timeout="long", postern={"affinty": "gradio"})
def third(): ...

@app.function(max_containers=0)
def fourth(): ...
`),
  ).toEqual([
    "3 mistakes",
    expect.stringMatching(/^4: endpoint\.third\.timeout = "long": must be /),
    expect.stringMatching(/^4: endpoint\.third\.affinty = "gradio": unknown key; did you mean/),
    expect.stringMatching(/^7: endpoint\.fourth\.max_containers = 0: must be /),
  ]);
});

test("a file that fails says on which line", async () => {
  expect(await mistakes("\nimport no_such_module\n")).toEqual([
    "4: ModuleNotFoundError: No module named 'no_such_module'",
  ]);
  expect(await mistakes("\nimport modal.experimental\n")).toEqual([
    "4: ModuleNotFoundError: No module named 'modal': import postern in its place, as in `import postern.experimental`",
  ]);
  expect(await mistakes("def f(:\n")).toEqual([expect.stringMatching(/^3: SyntaxError: /)]);
});

test("a file that does not use the package is the ASGI app that it was", async () => {
  const file = join(temporaryDirectory(), "plain.py");
  writeFileSync(file, "raise SystemExit('nobody runs me to read me')\n");
  const { document } = await readApp(file, {});
  expect(document).toEqual({ app: "plain", endpoint: [{ function: "app", asgi: "plain:app" }] });
});

test("a class whose image has Gradio needs no more inputs where it is no page", async () => {
  const image = 'modal.Image.debian_slim().pip_install("gradio")';
  const method = `@app.cls(image=${image})
class Model:
    @modal.method()
    def predict(self): ...
`;
  await expect(described(method)).resolves.toBeDefined();
  const page = `@app.function(image=${image})
@modal.asgi_app()
def ui(): ...
`;
  expect(await mistakes(page)).toEqual([
    expect.stringContaining("a Gradio page keeps one request"),
  ]);
});
