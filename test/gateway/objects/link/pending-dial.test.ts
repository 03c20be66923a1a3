/** A WebSocket that waits for its dial-back. */
import { expect, test } from "vitest";
import { Deadlines } from "../../../../gateway/objects/link/deadlines.ts";
import { PendingDial } from "../../../../gateway/objects/link/pending-dial.ts";
import { receivedAttempt } from "../../../../gateway/contracts/attempt.ts";

test("is forgotten when the link has all its streams", async () => {
  let forgotten = 0;
  const dial = new PendingDial(new Request("http://a/"), new Deadlines(), () => {
    forgotten += 1;
  });
  dial.start(undefined);
  expect(forgotten).toBe(1);
  expect(receivedAttempt(await dial.response)).toMatchObject({ cause: "too_many_streams" });
});
