/** Boxes of one app get files of Gradio's from each other; others get none. */
import { SELF } from "cloudflare:test";
import { beforeAll, expect, test } from "vitest";
import type { OperationHead } from "../../../../routing/wire/heads.ts";
import { authorizationOf, connectAgent, enrolledBox } from "../../fake-agent.ts";
import { content, Deploying } from "../../objects/workspace/deploying.ts";

const FOLDER = "0a".repeat(32);
const FILE = `/main/shop/f/${FOLDER}/${encodeURIComponent("a b%é.png")}`;
const here = new Deploying("gradio-files");
const asked: [box: string, head: OperationHead][] = [];

/** A box whose agent has these bytes of every file, or no file. */
async function box(name: string, file?: string) {
  const added = await here.box(name, { connected: false });
  await connectAgent(name, {
    workspace: here.workspace,
    operate: (stream, head) => {
      if (head.operation !== "getFile") {
        stream.sendHead('{"status":204,"headers":[]}', [], true);
        return {};
      }
      asked.push([name, head]);
      if (file === undefined) stream.refuse({ code: "not_found", detail: "no such file" });
      else {
        const headers = ["content-length", `${file.length}`];
        stream.sendHead(JSON.stringify({ status: 200, headers }), [], false);
        stream.sendData([new TextEncoder().encode(file)], true);
      }
      return {};
    },
  });
  return added;
}

async function get(name: string, path: string): Promise<Response> {
  const identity = await enrolledBox(name, here.workspace);
  return await SELF.fetch(`http://localhost:8787/_postern/files${path}`, {
    headers: { host: "localhost:8787", authorization: await authorizationOf(identity) },
  });
}

beforeAll(async () => {
  const boxes = [await box("gpu-1"), await box("gpu-2"), await box("gpu-3", "bytes")];
  await box("cpu-1", "foreign");
  await here.stage("shop", content({ f: { boxes: ["gpu-*"] } }));
  await here.start("shop", 1);
  const app = (await boxes[0]?.assignments())?.apps[0]?.id ?? "";
  for (const each of boxes) await each.report([{ app, version: 1, state: "ready" }]);
  expect((await here.app("shop")).version).toBe(1);
});

test("the other boxes of the app are asked, and the file comes with its length", async () => {
  const response = await get("gpu-1", FILE);
  expect([response.status, response.headers.get("content-length")]).toEqual([200, "5"]);
  expect(await response.text()).toBe("bytes");
  const parameters = { endpoint: "main/shop/f", folder: FOLDER, name: "a b%é.png" };
  expect(asked).toEqual([
    ["gpu-2", { operation: "getFile", parameters }],
    ["gpu-3", { operation: "getFile", parameters }],
  ]);
});

test("a box that does not serve the app gets nothing, and none is asked", async () => {
  asked.length = 0;
  const response = await get("cpu-1", FILE);
  expect(response.status).toBe(404);
  await response.text();
  expect(asked).toEqual([]);
});

test("where no other box has the file, the box is told", async () => {
  const response = await get("gpu-3", FILE);
  expect([response.status, await response.text()]).toEqual([
    404,
    "postern: no other connected box of main/shop/f has the file\n",
  ]);
});

test.each([
  ["a name with a slash", `/main/shop/f/${FOLDER}/a%2fb`],
  ["a step back", `/main/shop/f/${FOLDER}/%2e%2e%2fx`],
  ["a folder that is no hash", "/main/shop/f/etc/passwd"],
  ["a NUL", `/main/shop/f/${FOLDER}/a%00`],
])("%s is refused", async (_, path) => {
  asked.length = 0;
  const response = await get("gpu-1", path);
  expect([400, 404]).toContain(response.status);
  await response.text();
  expect(asked).toEqual([]);
});
