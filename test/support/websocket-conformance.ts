/**
 * Runs conformance cases on two ways to one app, directly and through the gateway, and says where the
 * ways showed different things: to the client, or only to the app. Nothing here knows what is right.
 */
import { OPCODE } from "../../origin-gpu/websocket/frames.ts";
import { type Address, send } from "./http-client.ts";
import { headerValues } from "./raw-http.ts";
import type { AppCase } from "./websocket-app-cases.ts";
import type { ClientCase } from "./websocket-cases.ts";
import { ClientSocket } from "./websocket-client.ts";
import { maskedFrame } from "./websocket-frames.ts";
import { LAST_MESSAGE, meet, type ScriptedApp } from "./websocket-script.ts";

/** Cases that run at the same time; more would only wait for each other. */
const CONCURRENCY = 8;

/** A server that has not ended a broken WebSocket after this has accepted what broke it. */
const VERDICT_MS = 1_000;

/** Close reasons with these codes are an implementation's own words, not the app's. */
const OWN_WORDS = /^(Close (?:1002|1003|1007|1009)) ".*"$/;

/** What a case showed on one way. */
export interface Verdict {
  /** Everything that the client saw. */
  readonly client: string;
  /** How the WebSocket ended for the app. */
  readonly app: string;
}

export interface Difference {
  readonly case: string;
  /** `app`: the client saw the same on both ways. */
  readonly seenBy: "client" | "app";
  readonly directly: Verdict;
  readonly throughGateway: Verdict;
}

/** Runs each case on both ways and returns the differences, in the order of the cases. */
export async function compare<Case extends { readonly id: string }>(
  cases: readonly Case[],
  directly: (one: Case) => Promise<Verdict>,
  throughGateway: (one: Case) => Promise<Verdict>,
): Promise<Difference[]> {
  const found: (Difference | undefined)[] = cases.map(() => undefined);
  const queue = cases.entries();
  const work = async (): Promise<void> => {
    for (const [index, one] of queue) {
      const verdicts = { directly: await directly(one), throughGateway: await throughGateway(one) };
      const clientDiffers = verdicts.directly.client !== verdicts.throughGateway.client;
      const appDiffers = verdicts.directly.app !== verdicts.throughGateway.app;
      if (clientDiffers || appDiffers) {
        found[index] = { case: one.id, seenBy: clientDiffers ? "client" : "app", ...verdicts };
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return found.filter((difference) => difference !== undefined);
}

let runs = 0;

/**
 * A client's case at the app of test/support/apps/websocket_app.py.
 * @param app where the app itself is asked how the WebSocket ended
 */
export async function observeClientCase(
  way: Address,
  app: Address,
  client: ClientCase,
): Promise<Verdict> {
  runs += 1;
  const id = encodeURIComponent(`${client.id}/${runs}`);
  const path = client.path ?? "/echo";
  const query = `${path.includes("?") ? "&" : "?"}id=${id}`;
  const socket = await ClientSocket.connect(way, path + query, client.headers);
  const { response } = socket;
  if (response.status !== 101) {
    const kept = ["x-refused", "set-cookie"].flatMap((name) => headerValues(response, name));
    const body = response.body.toString();
    return { client: ["refused", response.status, ...kept, body].join(" | "), app: "" };
  }
  // One write: what follows a broken frame must be on its way before the server ends the connection, or
  // the reset that answers it could overtake the Close frame.
  let pending: Uint8Array[] = [];
  const flush = async (): Promise<void> => {
    await socket.send(Buffer.concat(pending), client.chop);
    pending = [];
  };
  for (const part of client.sends) {
    if (typeof part === "string") {
      await flush();
      await socket.awaitMessage(part);
    } else pending.push(part);
  }
  await flush();
  await finish(socket, client.ends);
  const { messages, pongs, close } = socket.seen;
  const seen = [
    ...headerValues(response, "sec-websocket-protocol").map((protocol) => `protocol ${protocol}`),
    // Parameters belong to the hop and to who negotiates it.
    ...headerValues(response, "sec-websocket-extensions").map((line) => line.replace(/;.*/s, "")),
    ...messages,
    ...pongs.map((pong) => `pong ${pong}`),
    client.ends === "fin" || client.ends === "reset" ? client.ends : close.replace(OWN_WORDS, "$1"),
  ];
  const report = (await send(app, `/ended/${id}`)).json() as {
    code: number;
    reason: string;
  } | null;
  const ended = report === null ? "never ended" : `${report.code} ${JSON.stringify(report.reason)}`;
  return { client: seen.join(" | "), app: ended };
}

async function finish(socket: ClientSocket, how: ClientCase["ends"]): Promise<void> {
  switch (how) {
    case "verdict":
      if (await socket.endsWithin(VERDICT_MS)) break;
      await finish(socket, "message");
      return;
    case "message":
      await socket.send(maskedFrame({ opcode: OPCODE.text, payload: LAST_MESSAGE }));
      if (await socket.awaitMessage(LAST_MESSAGE)) socket.close(1000, "done");
      break;
    case "close":
      socket.closedByHand();
      break;
    case "server":
      break;
    case "fin":
      socket.finish();
      return;
    case "reset":
      socket.reset();
      return;
  }
  await socket.ended();
}

/** An app's case, with undici's client. */
export async function observeAppCase(
  way: Address,
  scripted: ScriptedApp,
  app: AppCase,
): Promise<Verdict> {
  runs += 1;
  const path = `/${app.id}?${runs}`;
  const ended = scripted.ended(path);
  return { client: await meet(way, path), app: await ended };
}
