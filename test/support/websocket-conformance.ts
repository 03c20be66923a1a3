/**
 * Runs conformance cases against an app on several ways to it and says what each way showed: all that
 * the client saw, and what the app saw of the end. Nothing here knows what is right.
 */
import { type Address, send } from "./http-client.ts";
import type { ClientCase } from "./websocket-cases.ts";
import { ClientSocket } from "./websocket-client.ts";
import { headerValues } from "./raw-http.ts";
import { maskedFrame } from "./websocket-frames.ts";

const LAST_MESSAGE = "the last message";

/** Cases that run at the same time; more would only wait for each other. */
const CONCURRENCY = 8;

/** Close reasons of implementations are their own words; these codes come from them, not from the app. */
const OWN_WORDS = /^(Close (?:1002|1003|1007|1009)) ".*"$/;

let runs = 0;

/**
 * What a case shows on one way to the app.
 * @param app where the app itself is asked how the WebSocket ended
 */
export async function observe(way: Address, app: Address, client: ClientCase): Promise<string> {
  runs += 1;
  const id = `${client.id}/${runs}`;
  const path = client.path ?? "/echo";
  const query = `${path.includes("?") ? "&" : "?"}id=${encodeURIComponent(id)}`;
  const socket = await ClientSocket.connect(way, path + query, client.headers);
  const { response } = socket;
  if (response.status !== 101) {
    const kept = ["x-refused", "set-cookie"].flatMap((name) => headerValues(response, name));
    return ["refused", response.status, ...kept, response.body.toString()].join(" | ");
  }
  for (const bytes of client.sends) {
    if (typeof bytes === "string") await socket.awaitMessage(bytes);
    else if (client.chop === undefined) socket.send(bytes);
    else await socket.sendChopped(bytes, client.chop);
  }
  await finish(socket, client.ends);
  const { messages, pongs, close } = socket.seen;
  const report = (await send(app, `/ended/${encodeURIComponent(id)}`)).json();
  const { code, reason } = (report ?? {}) as { code?: number; reason?: string };
  const protocols = headerValues(response, "sec-websocket-protocol");
  const extensions = headerValues(response, "sec-websocket-extensions");
  return [
    ...protocols.map((protocol) => `protocol ${protocol}`),
    // Parameters belong to the hop and to who negotiates it.
    ...extensions.map((extension) => `extension ${extension.replace(/;.*/s, "")}`),
    ...messages,
    ...pongs.map((pong) => `pong ${pong}`),
    client.ends === "reset" ? "reset" : close.replace(OWN_WORDS, "$1"),
    code === undefined ? "app: never ended" : `app: ${code} ${JSON.stringify(reason)}`,
  ].join(" | ");
}

async function finish(socket: ClientSocket, how: ClientCase["ends"]): Promise<void> {
  switch (how) {
    case "message":
      socket.send(maskedFrame({ opcode: 1, payload: LAST_MESSAGE }));
      if (await socket.awaitMessage(LAST_MESSAGE)) socket.close(1000, "done");
      break;
    case "close":
      socket.closedByHand();
      break;
    case "reset":
      socket.reset();
      return;
    case "server":
      break;
  }
  await socket.ended();
}

export interface Difference {
  readonly case: string;
  readonly directly: string;
  readonly throughGateway: string;
}

/** Runs all cases on both ways and returns those that showed different things. */
export async function differences(
  cases: readonly ClientCase[],
  app: Address,
  gateway: Address,
): Promise<Difference[]> {
  const found: Difference[] = [];
  const queue = cases.values();
  const worker = async () => {
    for (const client of queue) {
      const directly = await observe(app, app, client);
      const throughGateway = await observe(gateway, app, client);
      if (directly !== throughGateway) found.push({ case: client.id, directly, throughGateway });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return found.sort((a, b) => a.case.localeCompare(b.case));
}
