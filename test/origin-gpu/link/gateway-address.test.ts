/** Where an agent dials, and how it tells the gateway's verdict from a proxy's status. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";

const ENROLMENT = {
  workspace: "local",
  box: "gpu-1",
  serial: "s",
  key: "A".repeat(43),
  audience: "gateway.example",
};

/** A server that takes WebSockets, or refuses them. */
async function gateway(refusal?: {
  status: number;
  headers?: Record<string, string>;
}): Promise<{ server: Server; at: string }> {
  const server = createServer((_, response) => response.end());
  server.on("upgrade", (request, socket) => {
    const key = request.headers["sec-websocket-key"] ?? "";
    const accept = createHash("sha1")
      .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    const taken = `101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}`;
    const lines = Object.entries(refusal?.headers ?? {}).map((line) => `${line.join(": ")}\r\n`);
    const refused = `${refusal?.status} Refused\r\n${lines.join("")}Content-Length: 0\r\nConnection: close`;
    socket.write(`HTTP/1.1 ${refusal === undefined ? taken : refused}\r\n\r\n`);
    if (refusal !== undefined) socket.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { server, at: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test("a gateway on this machine is looked for anew at each dial", async () => {
  const first = await gateway();
  const second = await gateway();
  let at = first.at;
  const options = { url: "http://gateway.example", connectTo: () => at, enrolment: ENROLMENT };
  const address = new GatewayAddress(options);
  for (const { server, at: here } of [first, second]) {
    at = here;
    const upgraded = once(server, "upgrade");
    const dialled = await address.dial("/_postern/link/0");
    expect(dialled.kind).toBe("open");
    await upgraded;
    if (dialled.kind === "open") dialled.socket.destroy();
  }
});

test.each([
  [401, { "postern-verdict": "revoked" }, "final"],
  [401, { "Postern-Verdict": "wrong_key" }, "final"],
  [401, { "postern-verdict": "wrong_clock" }, "passing"],
  [409, { "postern-verdict": "held" }, "held"],
  [401, { "postern-verdict": "of a newer gateway" }, "passing"],
  [401, { "postern-verdict": "constructor" }, "passing"],
  [400, {}, "passing"],
  [401, {}, "passing"],
  [403, {}, "passing"],
  [404, {}, "passing"],
  [409, {}, "passing"],
  [421, {}, "passing"],
  [426, {}, "passing"],
  [502, {}, "passing"],
] as const)("%d with %j is %s", async (status, headers, verdict) => {
  const { at } = await gateway({ status, headers });
  const address = new GatewayAddress({ url: `http://${at}`, enrolment: ENROLMENT });
  expect(await address.dial("/_postern/link/0")).toMatchObject({ kind: "refused", verdict });
});

test("requests are counted in the order in which they were made, also where one is sent behind a later one", async () => {
  const seen: string[] = [];
  const server = createServer(({ url, headers }, response) => {
    seen.push(`${headers["postern-request-number"] as string} ${url}`);
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const address = new GatewayAddress({ url: `http://${at}`, enrolment: ENROLMENT });
  const first = Promise.withResolvers<string>();
  vi.spyOn(address, "authorization").mockReturnValueOnce(first.promise);
  const paths = ["/one", "/two", "/three"];
  const asked = paths.map(async (path) => await address.request(path));
  await Promise.all(asked.slice(1));
  first.resolve("Bearer late");
  const answers = await Promise.all(asked);
  await Promise.all(answers.map(async ({ body }) => await body.dump()));
  expect(seen.at(-1)).toBe("1 /one");
  expect(seen.toSorted()).toEqual(["1 /one", "2 /two", "3 /three"]);
});
