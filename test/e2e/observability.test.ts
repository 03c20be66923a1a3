/** What an operator sees of a request, from the edge to the app. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RawOrigin, startRawOrigin } from "../support/apps/raw-origin.ts";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { freePort } from "../support/temporary.ts";

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

let origin: RawOrigin;
let postern: Gateway;

beforeAll(async () => {
  origin = await startRawOrigin();
  const env = { POSTERN_LOG: "json", POSTERN_DEBUG: "calls,link" };
  postern = await startUp([upstream(origin.port)], { env });
});

afterAll(async () => {
  await postern.stop();
  await origin.close();
});

/** What the app got of a trace, and the id of its call. */
async function traced(headers: Record<string, string>) {
  const response = await send(postern.address(), "/head", { headers });
  const head = Buffer.from(response.body.toString(), "base64").toString("latin1");
  const line = (name: string) => new RegExp(`^${name}: (.*)`, "im").exec(head)?.[1];
  const callId = String(response.headers["postern-call-id"]);
  return { traceparent: line("traceparent"), tracestate: line("tracestate"), callId };
}

/** The events of a kind so far, on both sides of the link. */
function events(name: string): Record<string, unknown>[] {
  return postern.process.stderr
    .split("\n")
    .filter((line) => line.includes(`"event":"${name}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The traces of a call's events: in the access log, then at the agent. */
async function logged(callId: string): Promise<unknown[]> {
  const ofCall = () =>
    [...events("gateway.request"), ...events("call.state")].filter(
      (event) => event["call_id"] === callId,
    );
  await expect
    .poll(() => ofCall().map(({ event, to }) => to ?? event))
    .toEqual(expect.arrayContaining(["gateway.request", "complete"]));
  return ofCall().map(({ traceparent }) => traceparent);
}

test("a client's trace goes to the app and stands in each event of its call", async () => {
  const { callId, ...app } = await traced({ traceparent: TRACE, tracestate: "vendor=1" });
  expect(app).toEqual({ traceparent: TRACE, tracestate: "vendor=1" });
  expect(new Set(await logged(callId))).toEqual(new Set([TRACE]));
});

test("a call without a valid trace begins one, for the app and its events alike", async () => {
  const { callId, ...app } = await traced({ traceparent: "forged", tracestate: "vendor=1" });
  expect(app.tracestate).toBeUndefined();
  expect(app.traceparent?.split("-")[1]).toBe(callId.replaceAll("-", ""));
  expect(new Set(await logged(callId))).toEqual(new Set([app.traceparent]));
});

test("both ends of a link write its frames", async () => {
  await traced({});
  const ends = (direction: string) =>
    events("link.frame").filter(
      (frame) => frame["type"] === "OPEN" && frame["direction"] === direction,
    );
  await expect.poll(() => ends("out").length).toBeGreaterThan(0);
  expect(ends("out")[0]).toMatchObject({ workspace: "tests", box: expect.any(String) as string });
  await expect.poll(() => ends("in").length).toBeGreaterThan(0);
});

test("requests and links are counted for Prometheus, and the log stays readable", async () => {
  const port = await freePort();
  const env = { POSTERN_METRICS: String(port), POSTERN_DEBUG: "gateway" };
  const counting = await startUp([upstream(origin.port)], { env });
  try {
    const missing = { ...counting.address(), host: `tests--none.localhost:${counting.port}` };
    expect((await send(missing, "/path")).status).toBe(404);
    const metrics = async () => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    await expect
      .poll(metrics)
      .toMatch(/^postern_gateway_request_total\{status="404",code="no_such_endpoint"\} 1$/m);
    // Both ends of the link are in this process.
    expect(await metrics()).toMatch(/^postern_link_state_total\{to="connected"\} 2$/m);
    const { stderr } = counting.process;
    expect(stderr).toMatch(/Z gateway\.request method=GET host=\S+ path=\/path status=404 /);
    expect(stderr).not.toContain("{");
  } finally {
    await counting.stop();
  }
});
