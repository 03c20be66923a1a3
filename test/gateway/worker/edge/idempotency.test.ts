import { expect, test } from "vitest";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

let boxes = 0;

/** Sends one keyed POST for each caller, and returns the hashed keys that the box is told. */
async function keysOf(...callers: Record<string, string>[]): Promise<(string | undefined)[]> {
  boxes += 1;
  const name = `keys-${boxes}`;
  const opened: RequestHead[] = [];
  await connectAgent(name, {
    endpoints: [announcement(name, "f")],
    open: (stream, head) => {
      opened.push(head);
      stream.sendHead('{"status":200,"headers":[]}', [new TextEncoder().encode("done")], true);
      return {};
    },
  });
  for (const caller of callers) {
    const headers = { ...caller, "idempotency-key": "order-7" };
    const response = await ask(`local--${name}-f`, "/", { method: "POST", body: "x", headers });
    await response.text();
  }
  return opened.map(({ key }) => key);
}

test.each([
  "x-api-key",
  "api-key",
  "cookie",
  "authorization",
  "x-auth-token",
  "x-forwarded-for",
  "sec-websocket-protocol",
])("two callers who differ in %s alone never share a key", async (name) => {
  const [alice, bob] = await keysOf({ [name]: "alice" }, { [name]: "bob" });
  expect(alice).toBeDefined();
  expect(alice).not.toBe(bob);
});

test("one caller's retry has the key of its first request", async () => {
  const [first, retry] = await keysOf({ cookie: "session=a" }, { cookie: "session=a" });
  expect(retry).toBe(first);
});
