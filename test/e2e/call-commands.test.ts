/** `postern call` and the calls API: what runs is shown, and what is cancelled ends at the app. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import { boxName } from "../../cli/agent.ts";
import { enrolledBox } from "../../cli/box-identity.ts";
import { type Gateway, startCommand, startUp, upstream } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { temporaryDirectory } from "../support/temporary.ts";

interface Shown {
  call: string;
  status: string;
  container?: string;
  timeline: { state: string }[];
}

let app: Server;
let postern: Gateway;
const left: string[] = [];

beforeAll(async () => {
  // Answers what asks for /quick, and nothing else.
  app = createServer((request, response) => {
    const path = request.url ?? "";
    if (path === "/quick") response.end("done");
    else response.on("close", () => left.push(path));
  });
  await new Promise<void>((resolve) => {
    app.listen(0, "127.0.0.1", resolve);
  });
  postern = await startUp([upstream((app.address() as AddressInfo).port)]);
});

afterAll(async () => {
  await postern.stop();
  app.close();
});

/** Begins a call that is kept, and gives its id and its result URL's token. */
async function begin(path: string): Promise<{ id: string; token: string }> {
  const headers = { prefer: "respond-async" };
  const response = await send(postern.address(), path, { method: "POST", headers });
  expect(response.status).toBe(202);
  const body = JSON.parse(response.body.toString()) as { call_id: string; result_url: string };
  return { id: body.call_id, token: body.result_url.split("__postern_call=")[1] ?? "" };
}

async function command(
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const managed = startCommand([...args, "--state", postern.stateDirectory]);
  const { code } = await managed.exited;
  return { code, stdout: managed.stdout, stderr: managed.stderr };
}

/** A command takes its time to start on a busy machine. */
const SLOW = { timeout: 10_000 };

async function inspect(id: string): Promise<Shown> {
  const { stdout } = await command("call", "inspect", id, "--json");
  return JSON.parse(stdout) as Shown;
}

test("a call that runs is listed and inspected, and ends at the app when it is cancelled", async () => {
  const { id } = await begin("/first");
  await expect.poll(async () => (await inspect(id)).status, SLOW).toBe("running");
  const { container } = await inspect(id);
  expect(container).toMatch(/^ct-[0-9a-f]{16}$/);
  expect((await command("call", "inspect", id)).stdout).toContain(`container ${container}\n`);
  const listed = await command("call", "list", "--json");
  expect((JSON.parse(listed.stdout) as Shown[]).map(({ call }) => call)).toContain(id);

  const cancelled = await command("call", "cancel", id);
  expect(cancelled).toMatchObject({ code: 0, stderr: `${id} was cancelled\n` });
  await expect.poll(() => left).toContain("/first");
  const after = await inspect(id);
  expect(after.status).toBe("terminated");
  expect(after.timeline.map(({ state }) => state)).toEqual(["queued", "running", "cancelled"]);
});

test("a call that is complete says so", async () => {
  const { id } = await begin("/quick");
  await expect.poll(async () => (await inspect(id)).status, SLOW).toBe("success");
  const listed = (await command("call", "list")).stdout.split("\n");
  const line = listed.find((text) => text.startsWith(id));
  expect(line).toMatch(/ POST \/quick +success +\d{4}-\d\d-\d\dT[\d:.]+Z +\d+\.\d{3} s$/);
  const cancelled = await command("call", "cancel", id);
  expect(cancelled).toMatchObject({ code: 0, stderr: `${id} had ended before: success\n` });
});

test("a list is of one environment, and says that a box has more", async () => {
  const calls = [await begin("/fifth"), await begin("/sixth")].map(({ id }) => id);
  const list = async (...args: string[]) => await command("call", "list", "--json", ...args);
  const shown = async (...args: string[]) =>
    (JSON.parse((await list(...args)).stdout) as Shown[]).map(({ call }) => call);
  expect(await shown("-e", "main")).toEqual(expect.arrayContaining(calls));
  const one = await list("--limit", "1");
  expect(JSON.parse(one.stdout)).toHaveLength(1);
  expect(one.stderr).toContain("--limit N shows more");
  expect(await list("-e", "nosuch")).toMatchObject({
    code: 1,
    stderr: "postern: the workspace has no environment nosuch\n",
  });
  expect(await list("--limit", "none")).toMatchObject({ code: 2 });

  await command("environment", "create", "dev");
  const [id = ""] = calls;
  for (const verb of ["inspect", "cancel"]) {
    expect(await command("call", verb, id, "-e", "dev")).toMatchObject({
      code: 1,
      stderr: `postern: no box that is connected knows the call ${id} in environment dev\n`,
    });
  }
  expect((await inspect(id)).status).toBe("running");
  for (const id of calls) await command("call", "cancel", id);
});

test("calls are listed in pages, each call once", async () => {
  const begun = await Promise.all(["/third", "/fourth", "/quick"].map(begin));
  // One that ends between two pages may be on both.
  const quick = begun.at(-1)?.id ?? "";
  await expect.poll(async () => (await inspect(quick)).status, SLOW).toBe("success");
  const { tokenId, tokenSecret } = ownAccess(postern.stateDirectory);
  const headers = { authorization: `Bearer ${tokenId}.${tokenSecret}` };
  const listed: string[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const from: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const path = `/api/v1/boxes/${boxName()}/calls?limit=1${from}`;
    const answer = await send(postern.base, path, { headers });
    expect(answer.status).toBe(200);
    const page = answer.json() as { items: Shown[]; next_cursor: string | null };
    expect(page.items.length).toBeLessThanOrEqual(1);
    listed.push(...page.items.map(({ call }) => call));
    cursor = page.next_cursor;
  }
  for (const { id, token } of begun) {
    expect(listed.filter((call) => call === id)).toEqual([id]);
    await send(postern.base, `/api/v1/calls/${token}`, { method: "DELETE" });
  }
});

test("the token of a result URL cancels its call, and a forged one nothing", async () => {
  const { token } = await begin("/second");
  const forged = await send(postern.base, `/api/v1/calls/${token}x`, { method: "DELETE" });
  expect(forged.status).toBe(404);
  expect(left).not.toContain("/second");
  const response = await send(postern.base, `/api/v1/calls/${token}`, { method: "DELETE" });
  expect(response.status).toBe(204);
  await expect.poll(() => left).toContain("/second");
});

test("an unknown call, and a box that is not there, are one clear line", async () => {
  const unknown = await command("call", "inspect", "nope");
  expect(unknown).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("knows the call nope"),
  });
  const none = await command("call", "list", "--box", "nobody");
  expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining("no box of this name") });
  const access = ownAccess(postern.stateDirectory);
  await enrolledBox({ access, directory: temporaryDirectory(), name: "away" });
  const away = await command("call", "list", "--box", "away");
  expect(away).toMatchObject({ code: 1, stderr: expect.stringContaining("not connected") });
});

test("a list has the newest 100 calls of a box, and with --limit as many as one wants", async () => {
  const begun: string[] = [];
  for (let count = 0; count < 105; count += 1) begun.push((await begin("/quick")).id);
  await expect.poll(async () => (await inspect(begun.at(-1) ?? "")).status, SLOW).toBe("success");
  const list = async (...args: string[]) => {
    const { stdout, stderr } = await command("call", "list", "--json", ...args);
    return { calls: (JSON.parse(stdout) as Shown[]).map(({ call }) => call), stderr };
  };
  const some = await list();
  expect(some.calls).toHaveLength(100);
  expect(some.stderr).toBe(`${boxName()} has more calls than these 100; --limit N shows more\n`);
  const most = await list("--limit", "103");
  expect(most.calls).toHaveLength(103);
  const all = await list("--limit", "1000");
  expect(all.stderr).toBe("");
  expect(all.calls.filter((call) => begun.includes(call)).toSorted()).toEqual(begun.toSorted());
  // Those that run come first; of those that ended, the newest.
  expect(some.calls).toEqual(all.calls.slice(0, 100));
  expect(some.calls).toContain(begun.at(-1));
});
