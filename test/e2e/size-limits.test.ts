/** Limits of sizes and counts at a real gateway: one below, at the limit, and one above. */
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, startUp, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const MAX_BODY = 1_000;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startUp([webServer()], { flags: ["--max-body", `${MAX_BODY}`] });
});
afterAll(async () => await gateway.stop());

test.each([
  [MAX_BODY - 1, 200],
  [MAX_BODY, 200],
  [MAX_BODY + 1, 413],
])("a body of %d bytes where --max-body is 1000 is answered with %d", async (bytes, status) => {
  const body = Buffer.alloc(bytes, "x");
  const declared = await send(gateway.address(), "/upload", { method: "POST", body });
  expect(declared.status).toBe(status);
  const counted = await send(gateway.address(), "/upload", {
    method: "POST",
    body: Readable.from([body.subarray(0, 500), body.subarray(500)]),
  });
  expect(counted.status).toBe(status);
  if (status === 413) {
    expect(declared.json()).toMatchObject({ code: "body_too_large" });
    expect(counted.json()).toMatchObject({ code: "body_too_large" });
  }
});
