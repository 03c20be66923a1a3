/** Requests that start no container. */
import { expect, test } from "vitest";
import { NO_EVENTS, type Stream } from "../../routing/wire/multiplexer.ts";
import { answerProbe, isShielded } from "../../origin-gpu/probes.ts";
import { endpointConfig } from "./containers/endpoint.ts";

const kind = { type: "asgi", target: "server:app" } as const;
const settings = endpointConfig({ kind, probePaths: ["/favicon.ico", "/health/*"] });
const IDLE = { settings, isReady: false };
const get = (target: string) => ({ method: "GET", target });

test("while no container is ready the box answers GET and HEAD of a probe's paths", () => {
  expect(isShielded(IDLE, get("/favicon.ico?v=2"))).toBe(true);
  expect(isShielded(IDLE, { method: "HEAD", target: "/health/live" })).toBe(true);
});

test("the app gets what may change something, what is no probe, and all while it runs", () => {
  expect(isShielded(IDLE, { method: "POST", target: "/favicon.ico" })).toBe(false);
  expect(isShielded(IDLE, get("/"))).toBe(false);
  expect(isShielded(IDLE, { ...get("/health/ws"), websocket: "00" })).toBe(false);
  expect(isShielded({ settings, isReady: true }, get("/favicon.ico"))).toBe(false);
  const without = { settings: endpointConfig({ kind }), isReady: false };
  expect(isShielded(without, get("/favicon.ico"))).toBe(false);
});

test("a probe gets 204, which nobody stores", () => {
  const sent: unknown[] = [];
  const stream = { sendHead: (...frame: unknown[]) => void sent.push(frame) };
  expect(answerProbe(stream as unknown as Stream)).toBe(NO_EVENTS);
  const head = JSON.stringify({ status: 204, headers: ["cache-control", "no-store"] });
  expect(sent).toEqual([[head, [], true]]);
});
