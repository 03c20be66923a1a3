/** The examples that may be locked say how a browser gets in, which can't send a proxy token. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const EXAMPLES = fileURLToPath(new URL("../../origin-gpu/examples", import.meta.url));

/** What an example says: its configuration and its page, where it has one. */
function textOf(example: string): string {
  return ["postern.toml", "README.md"]
    .map((name) => join(EXAMPLES, example, name))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
}

const LOCKED = readdirSync(EXAMPLES).filter((example) =>
  textOf(example).includes("requires_proxy_auth"),
);

test("some may be locked", () => {
  expect(LOCKED).toEqual(["comfyui", "fastapi", "gradio", "vllm"]);
});

test.each(LOCKED)("%s names connect tokens and the sign-in of people", (example) => {
  expect(textOf(example)).toContain("postern connect-token create");
  expect(textOf(example)).toContain("auth = { oidc = … }");
});
