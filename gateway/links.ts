/**
 * The doors for agents: the link itself and the dial-back of a WebSocket. Both need the box's
 * credential, and only then is an object addressed.
 */
import { BOX, INCARNATION, LINK, NONCE, VERB, WORKSPACE } from "./internal.ts";
import { originStub } from "./exchange.ts";
import type { Env } from "./env.ts";

const BOX_NAME = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_LINKS = 16;
const DEFAULT_WORKSPACE = "local";

/** `GET /_postern/link/<number>`: an agent's link, upgraded to a WebSocket. */
export async function acceptLink(request: Request, env: Env, link: string): Promise<Response> {
  const box = await boxOf(request, env);
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

/** A box of a workspace. */
export interface Box {
  readonly workspace: string;
  readonly box: string;
}

/** The box that a request proves to be, or the refusal. */
export async function boxOf(request: Request, env: Env): Promise<Box | Response> {
  const secret = env.POSTERN_BOX_SECRET;
  const given = /^Bearer (\S+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
  if (!secret || given === undefined || !(await sameSecret(given, secret))) {
    return new Response("postern: this box's secret is not the gateway's\n", { status: 401 });
  }
  const box = request.headers.get(BOX) ?? "";
  const workspace = request.headers.get(WORKSPACE) ?? DEFAULT_WORKSPACE;
  if (BOX_NAME.test(box) && BOX_NAME.test(workspace)) return { workspace, box };
  return new Response("postern: a box name is 1 to 64 letters, digits, '-', '.', '_'\n", {
    status: 400,
  });
}

/** Compares in a time that does not depend on where two secrets differ: their digests are compared. */
async function sameSecret(left: string, right: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const [a, b] = await Promise.all([
    crypto.subtle.digest("SHA-256", encoder.encode(left)),
    crypto.subtle.digest("SHA-256", encoder.encode(right)),
  ]);
  return crypto.subtle.timingSafeEqual(a, b);
}
