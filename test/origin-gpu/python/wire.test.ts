/** The two ends of a call token: auth/app-token.ts makes it, the Python of a container derives it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { mintAppToken, mintCallToken } from "../../../auth/app-token.ts";
import { deriveGatewayKeys } from "../../../auth/keys.ts";
import { ROOT } from "../../support/harness.ts";

const keys = await deriveGatewayKeys(Buffer.alloc(32, 7).toString("base64url"));
const app = { workspace: "local", id: `ap-${"0123456789abcdef".repeat(2).slice(0, 26)}` };
const EXPIRES_AT_S = 1_800_000_000;

/** Runs Python with the package on its path; the program gets `arguments_` in sys.argv and prints JSON. */
function python(program: string, ...arguments_: string[]): unknown {
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  return JSON.parse(
    execFileSync("python3", ["-c", program, ...arguments_], { env, encoding: "utf8" }),
  );
}

test("a container derives the call token that the gateway made", async () => {
  const derived = python(
    "import json, sys; from postern import _wire; print(json.dumps(_wire.call_token(*sys.argv[1:])))",
    await mintAppToken(keys, app),
    `${EXPIRES_AT_S}`,
  );
  expect(derived).toBe(await mintCallToken(keys, app, EXPIRES_AT_S));
});

test("a signature is right for its token, path and body alone", async () => {
  const program = `
import json, sys
from postern._wire import is_signed, sign
app_token, call_token, other = sys.argv[1:]
own, called = sign(app_token, "/f", b"body"), sign(call_token, "/f", b"body")
expiry, mac = called.split(".")
print(json.dumps([
    [is_signed(app_token, own, "/f", b"body"), is_signed(app_token, called, "/f", b"body")],
    [is_signed(*wrong) for wrong in (
        (app_token, own, "/g", b"body"),
        (app_token, own, "/f", b"Body"),
        (app_token, "", "/f", b"body"),
        (app_token, "0.", "/f", b"body"),
        (app_token, f"{int(expiry) + 1}.{mac}", "/f", b"body"),
        (app_token, f"0.{mac}", "/f", b"body"),
        (app_token, f"\\u0661.{mac}", "/f", b"body"),
        (app_token, sign(other, "/f", b"body"), "/f", b"body"),
        ("", sign("", "/f", b"body"), "/f", b"body"),
    )],
]))`;
  const other = await mintAppToken(keys, { ...app, id: `ap-${"f".repeat(26)}` });
  const callToken = await mintCallToken(keys, app, EXPIRES_AT_S);
  const answer = python(program, await mintAppToken(keys, app), callToken, other);
  expect(answer).toEqual([[true, true], Array.from({ length: 9 }, () => false)]);
});
