/**
 * The doors for agents: the link itself and the dial-back of a WebSocket. Both need the box's
 * credential (auth/box-credential.ts), whose signature is checked before any object is addressed.
 */
import { type BoxIdentity, verifyBoxCredential } from "../../../auth/box-credential.ts";
import {
  BOX,
  INCARNATION,
  LINK,
  NONCE,
  REVOKED,
  SERIAL,
  VERB,
  WORKSPACE,
} from "../../contracts/link.ts";
import { originStub, workspaceStub } from "../../contracts/stubs.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { MAX_LINKS } from "../../../routing/wire/limits.ts";

/** `GET /_postern/link/<number>`: an agent's link, upgraded to a WebSocket. */
export async function acceptLink(request: Request, env: Env, link: string): Promise<Response> {
  const box = await enrolledBox(request, env);
  if (box instanceof Response) return box;
  const number = Number(link);
  const incarnation = request.headers.get(INCARNATION) ?? "";
  const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  if (!upgrade || !/^\d{1,2}$/.test(link) || number >= MAX_LINKS) {
    return new Response("postern: a link is a WebSocket with a number below 16\n", { status: 400 });
  }
  if (!/^[0-9a-f]{32}$/.test(incarnation)) {
    return new Response("postern: a link names the agent's incarnation\n", { status: 400 });
  }
  const headers = {
    upgrade: "websocket",
    [WORKSPACE]: box.workspace,
    [BOX]: box.box,
    [SERIAL]: box.serial,
    [LINK]: link,
    [INCARNATION]: incarnation,
  };
  return await originStub(env, box.workspace, box.box, number).fetch(VERB.link, { headers });
}

/** `GET /_postern/dial/<link>/<nonce>`: the agent's half of a client's WebSocket. */
export async function acceptDial(
  request: Request,
  env: Env,
  link: string,
  nonce: string,
): Promise<Response> {
  const box = await boxOf(request, env);
  if (box instanceof Response) return box;
  if (!/^\d{1,2}$/.test(link) || Number(link) >= MAX_LINKS || !/^[0-9a-f]{32}$/.test(nonce)) {
    return new Response("postern: not a dial-back\n", { status: 400 });
  }
  const headers = { upgrade: "websocket", [NONCE]: nonce };
  return await originStub(env, box.workspace, box.box, Number(link)).fetch(VERB.dial, { headers });
}

/** The box that a request proves to be, by its credential alone; or the refusal. */
async function boxOf(request: Request, env: Env): Promise<BoxIdentity | Response> {
  const given = /^Bearer (\S+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
  if (given === undefined) return refusal("this door is for boxes: send the box's credential");
  const domain = env.POSTERN_BASE_DOMAIN;
  const keys = await gatewayKeys(env);
  const verdict = await verifyBoxCredential(keys, given, domain, Date.now() / 1_000);
  switch (verdict.kind) {
    case "valid":
      return verdict.identity;
    case "elsewhere":
      return refusal(`this box is enrolled at another gateway than ${domain}: enrol it here`);
    case "clock": {
      const seconds = Math.abs(verdict.aheadS);
      const way = verdict.aheadS > 0 ? "ahead of" : "behind";
      return refusal(`the box's clock is ${seconds} s ${way} the gateway's: set it right`);
    }
    case "forged":
      return refusal(
        "this box's key is not the gateway's; remove its identity.json, and it is enrolled anew",
      );
  }
}

/** The box that a request proves to be and that its workspace has enrolled; or the refusal. */
export async function enrolledBox(request: Request, env: Env): Promise<BoxIdentity | Response> {
  const box = await boxOf(request, env);
  if (box instanceof Response) return box;
  const known = await workspaceStub(env, box.workspace).isEnrolled(box.box, box.serial);
  if (known) return box;
  return refusal(`box ${box.box}: ${REVOKED}`);
}

function refusal(line: string): Response {
  return new Response(`postern: ${line}\n`, { status: 401 });
}
