/**
 * `POSTERN_METRICS=PORT`: a command that keeps running counts its events, and serves the counts to Prometheus at
 * http://127.0.0.1:PORT/metrics. No token is asked for: the counts have no names of workspaces, callers or hosts, and
 * the address is the machine's own unless the operator says otherwise.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Counters } from "../base/counters.ts";
import { codeOf, CommandFailure, reasonOf } from "./failure.ts";
import { type MetricsAddress, parseMetricsAddress } from "./metrics-address.ts";
import { counters } from "./observer.ts";

let serving: Promise<unknown> | undefined;

/**
 * Serves the counts from here on, where POSTERN_METRICS asks for them: for commands that keep running.
 * @throws {CommandFailure} when the port can't be had
 */
export async function startMetrics(): Promise<void> {
  const address = parseMetricsAddress(process.env["POSTERN_METRICS"] ?? "");
  if (counters === undefined || address === undefined) return;
  serving ??= serveMetrics(counters, address);
  try {
    await serving;
  } catch (error) {
    const { host, port } = address;
    const why = codeOf(error) === "EADDRINUSE" ? "the port is already taken" : reasonOf(error);
    throw new CommandFailure(`POSTERN_METRICS: can't listen on ${host}:${port}: ${why}`);
  }
}

/** Serves counts for as long as the process lives. Rejects with the system's error. */
export async function serveMetrics(
  counters: Counters,
  { host, port }: MetricsAddress,
): Promise<AddressInfo> {
  const server = createServer((request, response) => {
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (request.url !== "/metrics" || !isRead) {
      response.writeHead(404, { "content-type": "text/plain" }).end("postern: GET /metrics\n");
      return;
    }
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
    response.end(counters.text());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  server.unref();
  return server.address() as AddressInfo;
}
