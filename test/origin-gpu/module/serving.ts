/** Serves an app of a test in this process, and collects what its container's log would have. */
import { onTestFinished, vi } from "vitest";

import { ModuleServer } from "../../../origin-gpu/module/module-server.ts";
import type { Application, SentEvent } from "../../../origin-gpu/module/asgi.d.ts";
import { CallsAtWork } from "../../../origin-gpu/module/calls-at-work.ts";
import { RawConnection, type RawResponse } from "../../support/raw-http.ts";

export interface ServedApp {
  readonly port: number;
  readonly server: ModuleServer;
  readonly calls: CallsAtWork;
  /** What the agent was told. */
  readonly told: string[];
  /** The container's log. */
  readonly log: () => string;
}

export async function serve(
  app: Application,
  state: Readonly<Record<string, unknown>> = {},
): Promise<ServedApp> {
  const written: string[] = [];
  const spy = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  const told: string[] = [];
  const calls = new CallsAtWork((call) => told.push(call));
  const server = new ModuleServer(app, state, calls);
  const port = await server.listen(0);
  onTestFinished(async () => {
    server.stop();
    server.breakOff();
    await calls.none();
    spy.mockRestore();
  });
  return { port, server, calls, told, log: () => written.join("") };
}

/** Sends a request and reads its response. */
export async function ask(
  { port }: ServedApp,
  request: string,
  method = "GET",
): Promise<RawResponse> {
  const connection = await RawConnection.connect(port);
  connection.send(request);
  const response = await connection.response(method);
  connection.reset();
  return response;
}

export const GET = "GET / HTTP/1.1\r\nHost: app\r\n\r\n";

export const START = { type: "http.response.start", status: 200 } as const;

/** The events of a whole response. */
export function whole(body: string | Uint8Array, more: object = {}): readonly SentEvent[] {
  return [
    { ...START, ...more },
    { type: "http.response.body", body },
  ];
}

/** An app that answers each request with these events. */
export function answering(...events: readonly SentEvent[]): Application {
  return async (_, __, send) => {
    for (const event of events) await send(event);
  };
}
