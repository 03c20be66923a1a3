/**
 * A client's WebSocket at the agent: the app's handshake first, whose answer the client gets as it is;
 * if it is 101, the dial-back to the gateway, and then the two sockets are relayed frame by frame.
 */
import { randomBytes } from "node:crypto";
import { responseHeaders } from "../../routing/wire/headers.ts";
import type { Call, Settlement } from "../calls/call.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";
import { type Handshake, handshake, HandshakeError } from "../websocket/handshake.ts";
import { CLOSE_ABNORMAL, type Relay, relay, type RelaySummary } from "../websocket/relay.ts";
import { isWithoutConnection } from "./app-errors.ts";
import { appHost } from "./app-host.ts";
import type { AppServer } from "./app-connections.ts";
import type { OnRefused } from "./app-request.ts";

/** The app must answer the handshake within this time. */
const HANDSHAKE_TIMEOUT_MS = 60_000;

/** How the client's end is dialled, and what may pass. */
interface ClientSide {
  readonly gateway: GatewayAddress;
  readonly link: number;
  /** Payload bytes of a message, each way. */
  readonly maxMessageBytes: number;
  /** The endpoint's `host_header`, where it is not the public host. */
  readonly hostHeader: string | undefined;
  /** Told the head of the app's answer: name, value, name, value. */
  readonly onHead?: (rawHeaders: readonly string[]) => void;
  readonly onRefused: OnRefused;
}

/** Resolves with the relay, or with nothing when the client has got its refusal or waits for another container. */
export async function proxyWebSocket(
  call: Call,
  { origin, socketPath }: AppServer,
  { gateway, link, maxMessageBytes, hostHeader, onHead, onRefused }: ClientSide,
): Promise<Relay | undefined> {
  const leaving = new AbortController();
  call.start({
    pause: () => undefined,
    resume: () => undefined,
    abort: (reason) => leaving.abort(new Error(reason)),
  });
  const { head } = call;
  const host = appHost(head.headers, hostHeader, origin);
  let app: Handshake;
  try {
    app = await handshake({
      server: new URL(origin),
      target: head.target,
      headers: host?.toApp(head.headers) ?? head.headers,
      nonce: randomBytes(16),
      timeoutMs: HANDSHAKE_TIMEOUT_MS,
      signal: leaving.signal,
      ...(socketPath === undefined ? {} : { socketPath }),
    });
  } catch (error) {
    if (isUnreached(error)) {
      await onRefused();
      return undefined;
    }
    const reason = error instanceof HandshakeError ? error.message : String(error);
    call.fail({
      code: "origin_error",
      detail: `the app did not answer the handshake: ${reason}`,
    });
    return undefined;
  }
  onHead?.(app.rawHeaders);
  const raw = app.rawHeaders.map((text) => Buffer.from(text, "latin1"));
  const headers = responseHeaders(raw);
  if (!Array.isArray(headers)) {
    if (app.kind === "open") app.socket.destroy();
    else app.body.destroy();
    call.fail({ code: "origin_error", detail: headers.detail });
    return undefined;
  }
  if (app.kind === "refused") {
    const { status, body } = app;
    leaving.signal.addEventListener("abort", () => body.destroy());
    call.respond({ status, headers: host?.toClient(headers) ?? headers }, true);
    try {
      for await (const chunk of body) call.append(chunk as Buffer);
      call.complete();
    } catch {
      call.fail({ code: "origin_error", detail: "the app broke off its refusal" });
    }
    return undefined;
  }
  const { socket } = app;
  // Nothing is read before the relay takes over; an end in between must not go unnoticed.
  leaving.signal.addEventListener("abort", () => socket.resetAndDestroy());
  call.respond({ status: 101, headers }, true);
  const path = `/_postern/dial/${link}/${head.websocket}`;
  const dialled = await gateway.dial(path, { signal: leaving.signal });
  if (dialled.kind === "refused") {
    socket.resetAndDestroy();
    if (!call.over) call.fail({ code: "origin_error", detail: "the dial-back failed" });
    return undefined;
  }
  const coupled = relay({
    app: { socket, head: app.head },
    maxMessageBytes,
    gateway: { socket: dialled.socket, head: dialled.head, randomMask: gateway.needsMask },
  });
  call.detach(coupled.closed.then(settlementOf));
  return coupled;
}

function settlementOf({ by, code }: RelaySummary): Settlement {
  if (by === "agent") return "given_up";
  return by === "app" && code === CLOSE_ABNORMAL ? "broke" : "closed";
}

/** Whether no byte of the handshake left. */
function isUnreached(error: unknown): boolean {
  const cause = error instanceof HandshakeError ? error.cause : undefined;
  return cause instanceof Error && isWithoutConnection(cause);
}
