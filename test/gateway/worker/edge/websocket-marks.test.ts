import { expect, test } from "vitest";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import { announcement, ask, connectAgent, HANDSHAKE } from "../../fake-agent.ts";

let boxes = 0;

/** Sends a request to an app that answers everything, and returns what the app was asked. */
async function askedOf(init: RequestInit): Promise<{ head: RequestHead; body: string }[]> {
  boxes += 1;
  const name = `marks-${boxes}`;
  const asked: { head: RequestHead; body: string }[] = [];
  await connectAgent(name, {
    endpoints: [announcement(name, "f")],
    open: (stream, head, body) => {
      asked.push({ head, body: new TextDecoder().decode(body) });
      stream.sendHead('{"status":200,"headers":[]}', [], true);
      return {};
    },
  });
  const response = await ask(`local--${name}-f`, "/", init);
  await response.text();
  return asked;
}

test.each(["connection", "sec-websocket-version", "sec-websocket-key"] as const)(
  "a handshake without %s is an ordinary request",
  async (missing) => {
    const { [missing]: _missing, ...headers } = HANDSHAKE;
    const [asked] = await askedOf({ headers });
    expect(asked?.head.websocket).toBeUndefined();
    expect(asked?.head.headers).not.toContain("upgrade");
  },
);

test("a whole handshake asks the app for a WebSocket", async () => {
  const [asked] = await askedOf({ headers: HANDSHAKE });
  expect(asked?.head.websocket).toMatch(/^[0-9a-f]{32}$/);
});
