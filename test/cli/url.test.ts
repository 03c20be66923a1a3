/** `postern url` at a gateway: environments' own suffixes count, and another workspace's files do not mislead it. */
import { CREATE_ENVIRONMENT } from "../../api/environments.ts";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import { ApiClient } from "../../cli/client.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { postern, startPostern, startPosternGateway } from "./postern.ts";

test("the environment's web suffix is the one that it has, not the one that it began with", async () => {
  const { state, port } = await startPosternGateway();
  const client = new ApiClient(ownAccess(state));
  await client.call(CREATE_ENVIRONMENT, { body: { name: "staging", web_suffix: "next" } });
  const config = join(temporaryDirectory(), "postern.toml");
  writeFileSync(
    config,
    'app = "shop"\n[[endpoint]]\nfunction = "web"\nupstream = "http://127.0.0.1:9"\n',
  );
  const url = (...args: string[]) =>
    postern(["url", "shop", "web", "--state", state, "--config", config, ...args]);
  expect(await url("-e", "staging")).toEqual({
    code: 0,
    stdout: `http://local-next--shop-web.localhost:${port}\n`,
    stderr: "there is no app shop in environment staging; deployed, it would be at this URL\n",
  });
  const unknown = await url("-e", "nowhere");
  expect(unknown).toMatchObject({ code: 1, stdout: "" });
  expect(unknown.stderr).toMatch(/^postern: [^\n]*nowhere[^\n]*\n$/);

  const several = await url();
  expect(several).toMatchObject({ code: 2, stdout: "" });
  expect(several.stderr).toMatch(/^postern: which environment\? [^\n]*staging, main\n$/);
});

test("an app that is neither served nor described here is refused, with the URL that it would have", async () => {
  const { state, port } = await startPosternGateway();
  expect(await postern(["url", "shpo", "web", "--state", state, "-e", "main"])).toEqual({
    code: 1,
    stdout: "",
    stderr: `postern: there is no app shpo in environment main; deployed, it would be at http://local--shpo-web.localhost:${port}\n`,
  });
});

test("an app of another workspace has the URL that the rules give it", async () => {
  const { state, port } = await startPosternGateway();
  const config = join(temporaryDirectory(), "postern.toml");
  writeFileSync(
    config,
    'workspace = "ecorp"\napp = "shop"\n[[endpoint]]\nfunction = "web"\nupstream = "http://127.0.0.1:9"\n',
  );
  const { stdout } = await postern(["url", "shop", "web", "--state", state, "--config", config]);
  expect(stdout).toBe(`http://ecorp--shop-web.localhost:${port}\n`);
});

test("a function that an app does not have is refused with those that it has", async () => {
  const directory = temporaryDirectory();
  const state = join(directory, "state");
  const config = join(directory, "postern.toml");
  writeFileSync(
    config,
    'app = "shop"\n[[endpoint]]\nfunction = "web"\nupstream = "http://127.0.0.1:9"\n',
  );
  const up = startPostern(["up", "--config", config, "--port", "0", "--state", state]);
  const [served] = await up.waitForOutput(/^http:\S+$/m);
  const url = (name: string) => postern(["url", "shop", name, "--state", state]);
  expect(await url("web")).toEqual({ code: 0, stdout: `${served}\n`, stderr: "" });
  expect(await url("wbe")).toEqual({
    code: 1,
    stdout: "",
    stderr: "postern: shop has no function wbe; it has web\n",
  });
});
