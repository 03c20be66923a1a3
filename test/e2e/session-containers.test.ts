/** Sessions of an app whose containers keep them in memory: each request finds the container that has its session. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { APPS, type Gateway, startCommand, startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { headerValues, type RawResponse } from "../support/raw-http.ts";
import { ClientSocket } from "../support/websocket-client.ts";

const CONTAINERS = 4;
const PATIENCE = { timeout: 30_000 };
const SERVER = {
  web_server: ["node", join(APPS, "session-server.ts")],
  max_inputs: 50,
  min_containers: CONTAINERS,
  max_containers: CONTAINERS,
};
let postern: Gateway;

beforeAll(async () => {
  postern = await startUp(
    [
      { ...SERVER, function: "soft", affinity: ["learned:json:id", "cookie"] },
      { ...SERVER, function: "hard", affinity: "learned:json:id", affinity_mode: "hard" },
      { ...SERVER, function: "none", target_inputs: 1 },
    ],
    { flags: ["--rate-limit", "0"] },
  );
  await vi.waitFor(async () => {
    const managed = startCommand([
      "container",
      "list",
      "--json",
      "--state",
      postern.stateDirectory,
    ]);
    await managed.exited;
    const listed = JSON.parse(managed.stdout) as { state: string }[];
    expect(listed.filter(({ state }) => state === "ready").length).toBe(3 * CONTAINERS);
  }, PATIENCE);
});
afterAll(async () => await postern.stop());

async function ask(functionName: string, path: string, headers: Record<string, string> = {}) {
  const method = path === "/sessions" ? "POST" : "GET";
  const answer = await send(postern.address(functionName), path, { method, headers });
  return { answer, container: String(answer.headers["x-container"]) };
}

/** The answer to a WebSocket's handshake; the server closes behind it. */
async function connect(headers: readonly string[]): Promise<RawResponse> {
  const socket = await ClientSocket.connect(postern.address("soft"), "/", headers);
  await socket.ended();
  return socket.response;
}

/** A session that the app hands out. */
async function begin(functionName: string): Promise<{ id: string; container: string }> {
  const { answer, container } = await ask(functionName, "/sessions");
  return { id: (answer.json() as { id: string }).id, container };
}

const named = (session: string) => ({ "modal-session-id": session });

test("twenty sessions that begin at once are five at each of four containers, and stay there", async () => {
  const sessions = Array.from({ length: 20 }, (_, index) => `session ${index}`);
  const placesOf = async () =>
    await Promise.all(
      sessions.map(async (session) => (await ask("soft", "/", named(session))).container),
    );
  const places = await placesOf();
  const counts = [...new Set(places)].map((one) => places.filter((each) => each === one).length);
  expect(counts).toEqual([5, 5, 5, 5]);
  expect(await placesOf()).toEqual(places);
});

test("an id that the app hands out leads back to the container that did", async () => {
  const begun = await Promise.all(Array.from({ length: 12 }, async () => await begin("soft")));
  expect(new Set(begun.map(({ container }) => container)).size).toBe(CONTAINERS);
  for (const { id, container } of begun) {
    const found = await ask("soft", `/sessions/${id}`);
    expect([found.answer.status, found.container]).toEqual([200, container]);
  }
});

test("without affinity it does not, which proves the test before", async () => {
  const begun = await Promise.all(Array.from({ length: 12 }, async () => await begin("none")));
  const statuses: number[] = [];
  for (const { id } of begun) statuses.push((await ask("none", `/sessions/${id}`)).answer.status);
  expect(statuses).toContain(404);
});

test("a cookie of the gateway's leads a client that carries nothing else", async () => {
  const first = await ask("soft", "/");
  const [cookie = ""] = first.answer.headers["set-cookie"] ?? [];
  expect(cookie).toMatch(/^postern_affinity=/);
  for (let count = 0; count < 8; count += 1) {
    const again = await ask("soft", "/", { cookie: cookie.split(";", 1)[0] ?? "" });
    expect(again.container).toBe(first.container);
  }
});

test("a WebSocket goes to the container of its session, and its 101 tells a new client the way back", async () => {
  for (let count = 0; count < 8; count += 1) {
    const session = `socket ${count}`;
    const { container } = await ask("soft", "/", named(session));
    const socket = await connect([`modal-session-id: ${session}`]);
    expect(headerValues(socket, "x-container")).toEqual([container]);
  }
  const first = await connect([]);
  const [cookie = ""] = headerValues(first, "set-cookie");
  expect(cookie).toMatch(/^postern_affinity=/);
  const place = headerValues(first, "x-container");
  for (let count = 0; count < 8; count += 1) {
    const again = await connect([`cookie: ${cookie.split(";", 1)[0] ?? ""}`]);
    expect(headerValues(again, "x-container")).toEqual(place);
  }
});

test("a session whose container dies moves, and its client is told", async () => {
  const before = await ask("soft", "/", named("mover"));
  await ask("soft", "/exit", named("mover"));
  const after = await vi.waitFor(async () => {
    const answered = await ask("soft", "/", named("mover"));
    expect(answered.answer.status).toBe(200);
    return answered;
  }, PATIENCE);
  expect(after.container).not.toBe(before.container);
  expect(after.answer.headers["postern-session"]).toBe("moved");
  const later = await ask("soft", "/", named("mover"));
  expect(later.container).toBe(after.container);
  expect(later.answer.headers["postern-session"]).toBeUndefined();
});

test("with affinity_mode = hard it is lost: 410, from then on", async () => {
  const { id } = await begin("hard");
  const other = await begin("hard");
  await ask("hard", `/exit?id=${id}`);
  for (let count = 0; count < 2; count += 1) {
    const { answer } = await ask("hard", `/sessions/${id}`);
    expect(answer.status).toBe(410);
    expect(answer.text).toContain("session_lost");
  }
  const { answer } = await ask("hard", `/sessions/${other.id}`);
  expect(answer.status).toBe(200);
});
