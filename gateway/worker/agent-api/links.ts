/**
 * The WebSockets of agents: the link itself, and the dial-back for a client's WebSocket. The signature of the
 * box's credential is verified before any object is addressed.
 */
import { boxOf, enrolledBox, refusal } from "./credential.ts";
import { BOX, INCARNATION, LINK, NONCE, SERIAL, VERB, WORKSPACE } from "../../contracts/link.ts";
import { noteBoxConnection, noteWebSocket } from "../edge/half-closed.ts";
import { originStub } from "../../contracts/stubs.ts";
import type { Env } from "../../contracts/env.ts";
import { MAX_LINKS } from "../../../routing/wire/limits.ts";

/** `GET /_postern/link/<number>`: an agent's link, upgraded to a WebSocket. */
export async function acceptLink(request: Request, env: Env, link: string): Promise<Response> {
  const box = await enrolledBox(request, env);
  if (box instanceof Response) return box;
  const number = Number(link);
  const incarnation = request.headers.get(INCARNATION) ?? "";
  const upgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  if (!upgrade || !/^\d{1,2}$/.test(link) || number >= MAX_LINKS) {
    return refusal(400, "malformed", `a link is a WebSocket with a number below ${MAX_LINKS}`);
  }
  if (!/^[0-9a-f]{32}$/.test(incarnation)) {
    return refusal(400, "malformed", "a link names the agent's incarnation");
  }
  const headers = {
    upgrade: "websocket",
    [WORKSPACE]: box.workspace,
    [BOX]: box.box,
    [SERIAL]: box.serial,
    [LINK]: link,
    [INCARNATION]: incarnation,
  };
  noteBoxConnection(request);
  const stub = originStub(env, box.workspace, box.box, number);
  const response = await stub.fetch(VERB.link, { headers });
  if (response.status !== 409) return response;
  return refusal(409, "held", (await response.text()).replace(/^postern: |\n$/g, ""));
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
    return refusal(400, "malformed", "not a dial-back");
  }
  const headers = { upgrade: "websocket", [NONCE]: nonce };
  const stub = originStub(env, box.workspace, box.box, Number(link));
  const response = await stub.fetch(VERB.dial, { headers });
  if (response.webSocket !== null) noteWebSocket(request, env, box.workspace);
  return response;
}
