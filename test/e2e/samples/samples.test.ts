/**
 * Apps in the form of Modal's samples, written anew with one import changed, called through their public URLs.
 * docs/python.md has the table of them. The first run makes the environments that they name.
 */
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Gateway, startCommand, startGateway, WORKSPACE } from "../../support/harness.ts";
import { type Address, open, type RequestOptions, send } from "../../support/http-client.ts";
import { activeVenv, servePython, type ServedPython } from "../../support/python-app.ts";
import { freePort, temporaryDirectory } from "../../support/temporary.ts";

const APPS = fileURLToPath(new URL("apps", import.meta.url));

/** An environment is made while the first request waits. */
const FIRST_MS = 240_000;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway({ flags: ["--request-timeout", "280"] });
});
afterAll(async () => await gateway.stop());

async function command(...args: string[]) {
  const state = ["--state", gateway.stateDirectory];
  const [name = "", ...rest] = args;
  // All that stands behind its file is the function's.
  const words = name === "run" ? [name, ...state, ...rest] : [...args, ...state];
  const managed = startCommand(words, { env: await activeVenv() });
  const { code } = await managed.exited;
  return { code, stdout: managed.stdout, stderr: managed.stderr };
}

async function serve(file: string, app: string, ready: string): Promise<ServedPython> {
  const served = await servePython(gateway, join(APPS, file), { app, ready });
  onTestFinished(async () => void (await served.process.stop()));
  return served;
}

async function ask(address: Address, path = "/", options: RequestOptions = {}) {
  return await send(address, path, { timeoutMs: FIRST_MS, ...options });
}

const json = (value: unknown): RequestOptions => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(value),
});

/** A picture of 64 by 64 grey pixels, in the format that needs no compression (PGM). */
const BLANK_IMAGE = Buffer.concat([Buffer.from("P5 64 64 255\n"), Buffer.alloc(64 * 64, 128)]);

/** A form with one file, and texts. */
function upload(field: string, content: Buffer, texts: Record<string, string> = {}) {
  const boundary = "postern-samples";
  const fields = Object.entries(texts).map(
    ([name, text]) =>
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`,
  );
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="${field}"; filename="file"\r\n\r\n`;
  return {
    method: "POST",
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([
      Buffer.from(fields.join("") + head),
      content,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]),
  };
}

test("Basic Web, Lifecycle functions, Proxy Auth Tokens and Web endpoint URLs", async () => {
  const { address } = await serve("basic_web.py", "example-basic-web", "hello");
  expect((await ask(address("hello"))).json()).toBe("Hello world!");
  expect((await ask(address("hello"), "/docs")).text).toContain("swagger");
  const preflight = { origin: "https://page.example", "access-control-request-method": "GET" };
  const cors = await ask(address("hello"), "/", { method: "OPTIONS", headers: preflight });
  expect(cors.headers["access-control-allow-origin"]).toBeDefined();
  expect((await ask(address("greet"), "/?user=you")).json()).toBe("Hello you!");
  expect((await ask(address("greet"))).status).toBe(422);
  expect((await ask(address("square"), "/", json({ x: 12 }))).json()).toEqual({ value: 144 });
  const first = (await ask(address("webapp-web"))).json() as Record<string, string>;
  const second = (await ask(address("webapp-web"))).json() as Record<string, string>;
  expect(second["started"]).toBe(first["started"]);
  expect((await ask(address("private"))).text).toContain(
    "missing credentials for proxy authorization",
  );
  const [id = "", secret = ""] = (await command("proxy-token", "create")).stdout.split("\n");
  const headers = { "modal-key": id, "modal-secret": secret };
  expect((await ask(address("private"), "/", { headers })).json()).toBe("hello friend");
  const { port } = gateway;
  const labelled = { port, host: `${WORKSPACE}--speechify-dev.localhost:${port}` };
  expect((await ask(labelled)).json()).toBe(`http://${labelled.host}`);
});

test("Hello World, Get Started, Generators and Parallel Execution", async () => {
  const { code, stdout, stderr } = await command("run", join(APPS, "getting_started.py"));
  expect([code, stdout], stderr).toEqual([
    0,
    [
      "hello 1000",
      "1000000 1000000 2646700",
      "2470 1764",
      "0 1 2 3 0 1 2 3",
      "['foo', 'barbar']",
      "['foo', 'bar']",
      "",
    ].join("\n"),
  ]);
  expect(stderr).toMatch(/\[f\] world 199/);
});

test("Dicts and Queues", async () => {
  const { code, stdout, stderr } = await command("run", join(APPS, "dicts_and_queues.py"));
  expect([code, stdout], stderr).toEqual([0, "['/', '/a', '/b']\n"]);
});

test("Long, resumable training, its model stubbed", async () => {
  process.env["TEST_CHECKPOINTS"] = join(temporaryDirectory(), "experiments");
  const file = join(APPS, "long_training.py");
  const { code, stdout, stderr } = await command("run", file, "--experiment", "first");
  expect([code, stdout], stderr).toEqual([0, "['0', '1', '2', '3'] 2\n"]);
});

test("Ollama, its program stubbed", async () => {
  process.env["TEST_PORT"] = `${await freePort()}`;
  process.env["TEST_MODELS"] = join(temporaryDirectory(), "models");
  const { address } = await serve("ollama/ollama_server.py", "example-ollama", "tested");
  expect((await ask(address("tested"))).json()).toEqual({
    "llama3.1:8b": "llama3.1:8b: Explain it.",
    "llama3.3:70b": "llama3.3:70b: Explain it.",
  });
  const { models } = (await ask(address("ollamaserver-serve"), "/api/tags")).json() as {
    models: { name: string }[];
  };
  expect(models.map(({ name }) => name).toSorted()).toEqual(["llama3.1:8b", "llama3.3:70b"]);
});

test("Streamlit", async () => {
  process.env["TEST_PORT"] = `${await freePort()}`;
  process.env["TEST_SCRIPT"] = join(temporaryDirectory(), "page.py");
  const { address } = await serve("streamlit/serve_streamlit.py", "example-serve-streamlit", "run");
  expect((await ask(address("run"))).text).toContain("<title>Streamlit</title>");
  expect((await ask(address("run"), "/_stcore/health")).text).toBe("ok");
});

test("FastAPI App", async () => {
  const { address } = await serve("fastapi_app.py", "example-fastapi-app", "fastapi-app");
  const headers = { "user-agent": "tests" };
  expect((await ask(address("fastapi-app"), "/", { headers })).json()).toBe("Hello tests");
  const named = json({ name: "Erik" });
  expect((await ask(address("fastapi-app"), "/foo", named)).json()).toEqual({ name: "Erik" });
  expect((await ask(address("f"), "/", named)).json()).toBe("Hello Erik");
});

test("Flask App and Flask Streaming", async () => {
  const { address } = await serve("flask_streaming.py", "example-flask", "flask-app");
  const flask = address("flask-app");
  expect((await ask(flask)).text).toBe("Hello Flask World!");
  expect((await ask(flask, "/foo", json({ a: [1] }))).json()).toEqual({ a: [1] });
  const here = await ask(flask, "/local");
  const there = await ask(flask, "/remote");
  expect(here.text.split("\n")).toHaveLength(2001);
  expect(there.text).toBe(here.text);
});

test("Streaming and Streaming endpoints", async () => {
  const { address } = await serve("streaming.py", "example-streaming", "fastapi-app");
  for (const [name, count] of [
    ["fastapi-app", 4],
    ["hook", 4],
    ["mapped", 6],
  ] as const) {
    await ask(address(name));
    const response = await open(address(name), "/", { timeoutMs: FIRST_MS });
    const pieces: string[] = [];
    for await (const piece of response) pieces.push(String(piece));
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join("").match(/frame \d|hello from \d/g)).toHaveLength(count);
  }
  const lines = (await ask(address("mapped"))).text.trim().split("\n");
  expect(lines).toEqual(Array.from({ length: 6 }, (_, index) => `hello from ${index}`));
  expect((await ask(address("mapped-async"))).text.trim().split("\n").toSorted()).toEqual(lines);
});

test("Poll Delayed Result and Request timeouts", async () => {
  const { address } = await serve("poll_delayed.py", "example-poll-delayed-result", "fastapi-app");
  const front = address("fastapi-app");
  const submitted = await ask(front, "/factors?number=60");
  expect(submitted.status).toBe(307);
  const location = new URL(submitted.headers.location ?? "");
  expect(location.host).toBe(front.host);
  const poll = async () => (await ask(front, location.pathname + location.search)).json();
  expect(await poll()).toBe("not ready");
  await expect.poll(poll, { timeout: FIRST_MS }).toEqual([2, 3, 5]);
});

test("Job queues, deployed, and from another app", async () => {
  const box = startCommand(["origin", "--name", "gpu-1", "--state", gateway.stateDirectory], {
    env: await activeVenv(),
  });
  onTestFinished(async () => void (await box.stop()));
  await box.waitForErrorOutput(/gpu-1 is connected/);
  const deployed = await command("deploy", join(APPS, "job_queue.py"));
  expect(deployed).toMatchObject({ code: 0 });
  const { address } = await serve("job_queue_endpoint.py", "fastapi-modal", "fastapi-app");
  const front = address("fastapi-app");
  const submitted = await ask(front, "/submit?data=data", { method: "POST" });
  expect(submitted).toMatchObject({ status: 200 });
  const { call_id: id } = submitted.json() as { call_id: string };
  expect(id).toMatch(/^fc-/);
  const poll = async () => (await ask(front, `/result/${id}`)).json();
  await expect.poll(poll, { timeout: 60_000 }).toEqual({ result: "data" });
  const run = await command("run", join(APPS, "job_queue.py"));
  expect(run).toMatchObject({ code: 0, stdout: "{'result': 'my-data'}\n" });
});

test("Badges", async () => {
  const { address } = await serve("badges/badges.py", "example-badges", "package-downloads");
  const badge = await ask(address("package-downloads"), "/?package_name=postern");
  expect(badge.headers["content-type"]).toBe("image/svg+xml");
  expect(badge.text).toMatch(/<svg[\s\S]*postern downloads[\s\S]*7000/);
});

test("Count Faces", async () => {
  const { address } = await serve("count_faces.py", "example-count-faces", "web");
  const web = address("web");
  expect((await ask(web)).text).toContain("multipart/form-data");
  const blank = await ask(web, "/process", upload("file", BLANK_IMAGE));
  expect([blank.status, blank.text]).toEqual([200, "<h1>Zero Faces Detected</h1>"]);
  const none = await ask(web, "/process", upload("file", Buffer.from("no image")));
  expect([none.status, none.text]).toEqual([
    400,
    expect.stringContaining("Error processing image"),
  ]);
});

test("Doc OCR Webapp", async () => {
  const box = startCommand(["origin", "--name", "gpu-2", "--state", gateway.stateDirectory], {
    env: await activeVenv(),
  });
  onTestFinished(async () => void (await box.stop()));
  await box.waitForErrorOutput(/gpu-2 is connected/);
  for (const name of ["jobs", "webapp"]) {
    const deployed = await command("deploy", join(APPS, `doc_ocr/doc_ocr_${name}.py`));
    expect(deployed, deployed.stderr).toMatchObject({ code: 0 });
  }
  const { port } = gateway;
  const web = { port, host: `${WORKSPACE}--example-doc-ocr-webapp-wrapper.localhost:${port}` };
  expect((await ask(web)).text).toContain("Receipt Parser");
  const parsed = await ask(web, "/parse", upload("receipt", Buffer.from("latot")));
  const { call_id: id } = parsed.json() as { call_id: string };
  const poll = async () => {
    const { status, text } = await ask(web, `/result/${id}`);
    return [status, text];
  };
  await expect.poll(poll, { timeout: 60_000 }).toEqual([200, '"total"']);
});

test("Text-to-Image, its front and its entrypoint", async () => {
  const file = "text_to_image/text_to_image.py";
  const { address, process } = await serve(file, "example-text-to-image", "ui");
  const page = (await ask(address("ui"))).text;
  expect(page).toContain("<title>Stable Diffusion 3.5 Large Turbo</title>");
  const [, url = ""] = /action="([^"]+)"/.exec(page) ?? [];
  expect(new URL(url).host).toBe(address("inference-web").host);
  const image = async (seed: number) =>
    await ask(address("inference-web"), `/?prompt=raccoon&seed=${seed}`);
  const first = await image(7);
  expect(first.headers["content-type"]).toBe("image/png");
  expect(first.text).toMatch(/^PNG of shade \d+$/);
  expect((await image(7)).text).toBe(first.text);
  await process.stop();
  const run = await command("run", join(APPS, file), "--samples", "2", "--seed", "7");
  expect(run, run.stderr).toMatchObject({ code: 0 });
  expect(run.stdout.trim().split("\n")).toEqual([
    `Run 1 made 4 images, ${first.text}`,
    `Run 2 made 4 images, ${first.text}`,
  ]);
});

test("Web Job Queue Wrapper", async () => {
  const file = join(APPS, "web_job_queue_wrapper.py");
  const run = await command("run", `${file}::test_polling`);
  expect(run).toMatchObject({ code: 0, stdout: "!dlrow ,olleH\n" });
});

test("Dynamic batching, Input concurrency, parameters at their defaults, and web servers", async () => {
  const { address } = await serve("batching.py", "example-batching", "add");
  const sums = [
    [1, 300],
    [2, 200],
    [3, 100],
  ].map(async ([x, y]) => (await ask(address("add"), "/", json({ x, y }))).json());
  expect(await Promise.all(sums)).toEqual([{ result: 301 }, { result: 202 }, { result: 103 }]);
  await ask(address("counted-baz"));
  const counted = await Promise.all(
    Array.from({ length: 4 }, async () => (await ask(address("counted-baz"), "/?qux=q")).json()),
  );
  expect(Math.max(...counted.map((each) => (each as { at_once: number }).at_once))).toBe(4);
  expect(counted[0]).toMatchObject({ foo: "hedgehog", qux: "q" });
  expect((await ask(address("files"))).text).toContain("batching.py");
});

test("Tunnels", async () => {
  const { address, process } = await serve("tunnels.py", "example-tunnels", "jupyter-hub");
  const hub = address("jupyter-hub");
  expect((await ask(hub, "/?secret=wrong", { method: "POST" })).status).toBe(401);
  const opened = await ask(hub, "/?secret=open+sesame", { method: "POST" });
  expect(opened.status).toBe(303);
  const { host, pathname, search } = new URL(opened.headers.location ?? "");
  expect(search).toMatch(/^\?token=[\w-]+$/);
  const page = async () => (await ask({ port: gateway.port, host }, pathname + search)).text;
  // The server starts after its tunnel.
  await expect.poll(page, { timeout: 30_000 }).toContain("tunnels.py");
  await process.stop();
  const run = await command("run", `${join(APPS, "tunnels.py")}::start_app`);
  expect(run).toMatchObject({ code: 0 });
  expect(run.stderr).toMatch(/tunnel\.url {8}= http:\/\/\S+\n.*tunnel\.tls_socket = \('/);
});

test("Django, by WSGI and by ASGI", async () => {
  const { address } = await serve("django_app.py", "example-django", "by-wsgi");
  for (const name of ["by-wsgi", "by-asgi"]) {
    const site = address(name);
    const url = `http://${site.host}`;
    expect((await ask(site, "/?a=b")).json()).toEqual({ url: `${url}/?a=b`, client: "127.0.0.1" });
    const page = await ask(site, "/form");
    const cookie = String(page.headers["set-cookie"]).split(";")[0] ?? "";
    const { headers, ...form } = upload("file", Buffer.alloc(3_000_000), { name: "you" });
    const send = async (more: Record<string, string>) =>
      await ask(site, "/form", { ...form, headers: { ...headers, cookie, origin: url, ...more } });
    const sent = await send({ "x-csrftoken": page.text });
    expect([sent.status, sent.text]).toEqual([200, "you sent 3000000 bytes"]);
    expect((await send({})).status).toBe(403);
    const foreign = { "x-csrftoken": page.text, origin: "http://elsewhere.example" };
    expect((await send(foreign)).status).toBe(403);
    expect((await ask(site, "/counted")).text).toBe("0\n1\n2\n");
  }
});

test("FastHTML App", async () => {
  const { address } = await serve("fasthtml_app.py", "example-fasthtml-app", "serve");
  expect((await ask(address("serve"))).text).toContain("<p>Hello World!</p>");
});

test("MCP Server Stateless, with its own test", async () => {
  const run = await command("run", `${join(APPS, "mcp_server.py")}::test_tool`);
  expect(run).toMatchObject({ code: 0 });
  expect(run.stderr).toMatch(/tools \['current_date_and_time'\], result \d{4}-\d\d-\d\dT/);
});

test("Pushgateway, its server stubbed", async () => {
  const { address } = await serve("pushgateway.py", "example-pushgateway", "serve");
  const { port } = gateway;
  const hello = { port, host: `${WORKSPACE}--hello-pushgateway-dev.localhost:${port}` };
  const answer = await ask(hello);
  expect(answer.json()).toMatch(/^Hello world from ct-/);
  expect((await ask(address("serve"))).text).toMatch(
    /^\/metrics\/job\/hello\/instance\/ct-\w+ \d+$/,
  );
});

test("Gradio, mounted, with its model in a class of its own", async () => {
  const { address } = await serve("gradio_app.py", "example-gradio", "ui");
  expect((await ask(address("ui"))).text).toContain("gradio");
  const begun = await ask(address("ui"), "/gradio_api/call/generate", json({ data: ["duke"] }));
  const { event_id: id } = begun.json() as { event_id: string };
  const events = await ask(address("ui"), `/gradio_api/call/generate/${id}`);
  expect(events.text).toContain('data: ["DUKE"]');
});
