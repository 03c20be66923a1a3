/** Apps in TypeScript, by their public URLs: the HTTP suite, and the examples that users copy. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";

import { APPS, type Gateway, ROOT, startUp } from "../support/harness.ts";
import { events, open, send } from "../support/http-client.ts";
import { itServesHttpFaithfully } from "../support/http-suite.ts";
import { RawConnection } from "../support/raw-http.ts";
import { ClientSocket } from "../support/websocket-client.ts";
import { maskedFrame } from "../support/websocket-frames.ts";
import { OPCODE } from "../../origin-gpu/websocket/frames.ts";

const EXAMPLES = `${ROOT}/origin-gpu/examples/module`;

let postern: Gateway;
beforeAll(async () => {
  postern = await startUp([
    { function: "web", module: "module-app.ts", directory: APPS, max_inputs: 100 },
    { function: "stream", module: "stream.ts", directory: EXAMPLES, max_inputs: 100 },
    { function: "chat", module: "chat.ts", directory: EXAMPLES, max_inputs: 100 },
  ]);
  await send(postern.address(), "/json", { timeoutMs: 60_000 });
});
afterAll(async () => await postern.stop());

itServesHttpFaithfully(() => postern.address());

test("a large body goes to the app and comes from it", async () => {
  const body = Buffer.alloc(20_000_000, "postern");
  const uploaded = await send(postern.address(), "/upload", { method: "POST", body });
  expect(uploaded.json()).toEqual({
    bytes: body.length,
    sha256: createHash("sha256").update(body).digest("hex"),
  });
  expect((await send(postern.address(), "/download?size=20000000")).body).toHaveLength(20_000_000);
});

test("an app learns that its client has left", async () => {
  const { port, host } = postern.address();
  const connection = await RawConnection.connect(port);
  connection.send(`GET /leave HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await postern.process.waitForErrorOutput(/leave begins/);
  connection.reset();
  await postern.process.waitForErrorOutput(/leave ends with http\.disconnect/);
});

test("the example streams events, and a body through itself", async () => {
  const numbers: string[] = [];
  for await (const event of events(await open(postern.address("stream"), "/?to=2"))) {
    numbers.push(event);
  }
  expect(numbers).toEqual(["1", "2"]);
  const shouted = await send(postern.address("stream"), "/shout", { method: "POST", body: "é!" });
  expect(shouted.text).toBe("É!");
});

test("the example passes a message of one WebSocket on to the others", async () => {
  const chat = postern.address("chat");
  const [one, other] = [
    await ClientSocket.connect(chat, "/"),
    await ClientSocket.connect(chat, "/"),
  ];
  expect(one.response.status).toBe(101);
  await one.send(maskedFrame({ opcode: OPCODE.text, payload: "hello" }));
  expect(await other.awaitMessage("hello")).toBe(true);
  one.close(1000, "");
  await one.ended();
  expect(one.seen).toMatchObject({ messages: [], close: 'Close 1000 ""' });
  other.reset();
  expect((await send(chat, "/")).status).toBe(426);
});
