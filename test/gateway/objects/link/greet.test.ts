/** Having a link does not depend on noting it: the workspace's database may be on a full disk. */
import { env as bindings } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { announcement, ask, type Behaviour, connectAgent, enrol } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

afterEach(() => {
  vi.restoreAllMocks();
});

/** From now on the workspace can't note a link: what it writes then ends the object. */
function fillDisk(): void {
  vi.spyOn(Workspace.prototype, "greet").mockRejectedValue(new Error("SQLITE_FULL"));
  vi.spyOn(Workspace.prototype, "linkLost").mockImplementation(() => {
    throw new Error("SQLITE_FULL");
  });
}

function serving(app: string): Behaviour {
  return {
    endpoints: [announcement(app, "web")],
    open: (stream) => {
      stream.sendHead('{"status":200,"headers":[]}', [new TextEncoder().encode(app)], true);
      return {};
    },
  };
}

test("a box that dials again serves the names that it had, also under another agent", async () => {
  const first = await connectAgent("noted", serving("noted"));
  fillDisk();
  first.close();
  await first.closed;
  const incarnation = "b".repeat(32);
  const { welcome } = await connectAgent("noted", { ...serving("noted"), incarnation });
  expect(welcome.endpoints).toEqual(first.welcome.endpoints);
  expect(await (await ask("local--noted-web")).text()).toBe("noted");
});

test("a name that nobody could note is refused, and the box has its link", async () => {
  fillDisk();
  const { welcome } = await connectAgent("new", serving("new"));
  expect(welcome.endpoints).toEqual([
    {
      refused: "unavailable",
      detail: "the gateway cannot note a new name now: its log says why",
    },
  ]);
});

test("a box that is not enrolled any more is not recalled", async () => {
  const { box } = await enrol("replaced");
  const greeting = { box, link: 0, incarnation: "a", agent: "test", links: 1, endpoints: [] };
  const workspace = workspaceStub(env, "local");
  expect(await workspace.recall({ ...greeting, serial: "another" })).toBeUndefined();
});

test("a workspace whose object ended is asked a second time", async () => {
  await enrol("asked-twice");
  vi.spyOn(Workspace.prototype, "isEnrolled").mockImplementationOnce(() => {
    throw new Error("internal error; reference = x");
  });
  const agent = await connectAgent("asked-twice");
  agent.close();
});
