/** Which box a request comes from, by the credential that its agent signs (auth/box-credential.ts). */
import { type BoxIdentity, verifyBoxCredential } from "../../../auth/box-credential.ts";
import { VERDICT_HEADER, type Verdict } from "../../../routing/wire/verdicts.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { REVOKED } from "../../contracts/link.ts";
import { reportError } from "../../contracts/observer.ts";
import { workspaceStub } from "../../contracts/stubs.ts";

/** The box that a request proves to be, by its credential alone; or the refusal. */
export async function boxOf(request: Request, env: Env): Promise<BoxIdentity | Response> {
  const given = /^Bearer (\S+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
  if (given === undefined) {
    return refusal(401, "no_credential", "this path is for boxes: send the box's credential");
  }
  const domain = env.POSTERN_BASE_DOMAIN;
  const keys = await gatewayKeys(env);
  const verdict = await verifyBoxCredential(keys, given, domain, Date.now() / 1_000);
  switch (verdict.kind) {
    case "valid":
      return verdict.identity;
    case "elsewhere":
      return refusal(
        401,
        "enrolled_elsewhere",
        `this box is enrolled at another gateway than ${domain}: enrol it here`,
      );
    case "clock": {
      const seconds = Math.abs(verdict.aheadS);
      const way = verdict.aheadS > 0 ? "ahead of" : "behind";
      return refusal(
        401,
        "wrong_clock",
        `the box's clock is ${seconds} s ${way} the gateway's: set it right`,
      );
    }
    case "forged":
      return refusal(
        401,
        "wrong_key",
        "this box's key is not the gateway's; remove its identity.json, and it is enrolled anew",
      );
  }
}

/** The box that a request proves to be and that its workspace has enrolled; or the refusal. */
export async function enrolledBox(request: Request, env: Env): Promise<BoxIdentity | Response> {
  const box = await boxOf(request, env);
  if (box instanceof Response) return box;
  const known = await isEnrolled(env, box);
  if (known === undefined) {
    const line = "postern: the workspace did not answer; the gateway's log says why\n";
    return new Response(line, { status: 503 });
  }
  return known ? box : refusal(401, "revoked", `box ${box.box}: ${REVOKED}`);
}

/** Undefined where the workspace does not answer. An object that could not write ends, and the next one answers. */
async function isEnrolled(env: Env, box: BoxIdentity): Promise<boolean | undefined> {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      return await workspaceStub(env, box.workspace).isEnrolled(box.box, box.serial);
    } catch (error) {
      reportError(env, `asking of box ${box.box}`, error);
    }
  }
  return undefined;
}

/** A refusal whose verdict agents know (routing/wire/verdicts.ts), with one line for the operator. */
export function refusal(status: number, verdict: Verdict, line: string): Response {
  return new Response(`postern: ${line}\n`, { status, headers: { [VERDICT_HEADER]: verdict } });
}
