/**
 * An agent inside the test: speaks the link's protocol through the real Worker and the real objects, and
 * answers calls as each test says.
 */
import { env as bindings, SELF } from "cloudflare:test";
import { type BoxEnrolment, mintBoxCredential } from "../../auth/box-credential.ts";
import type { Env } from "../../gateway/contracts/env.ts";
import { workspaceStub } from "../../gateway/contracts/stubs.ts";
import { FRAME, packFrames } from "../../routing/wire/frames.ts";
import { PROTOCOL_VERSIONS } from "../../routing/wire/limits.ts";
import { type OperationHead, parseOpenHead, type RequestHead } from "../../routing/wire/heads.ts";
import {
  type AttachRequest,
  type EndpointAnnouncement,
  parseAttach,
  parseWelcome,
  type Welcome,
} from "../../routing/wire/messages.ts";
import {
  Multiplexer,
  NO_EVENTS,
  type Stream,
  type StreamEvents,
} from "../../routing/wire/multiplexer.ts";

const BASE = "http://localhost:8787";
const AUDIENCE = "localhost:8787";

const env = bindings as unknown as Env;

export interface Behaviour {
  open?: (
    stream: Stream,
    head: RequestHead,
    body: Uint8Array,
    end: boolean,
  ) => Partial<StreamEvents>;
  operate?: (
    stream: Stream,
    head: OperationHead,
    body: Uint8Array,
    end: boolean,
  ) => Partial<StreamEvents>;
  attach?: (stream: Stream, request: AttachRequest) => Partial<StreamEvents>;
  versions?: number[];
  incarnation?: string;
  /** The link's number; it says that it has one link, whichever this is. */
  link?: number;
  endpoints?: EndpointAnnouncement[];
  /** Where it announces nothing; else its endpoints say. */
  workspace?: string;
}

export interface FakeAgent {
  welcome: Welcome;
  close(): void;
  /** Ends the link without saying that the agent ends. */
  cut(): void;
  closed: Promise<{ code: number; reason: string }>;
}

export function announcement(app: string, functionName: string): EndpointAnnouncement {
  return {
    workspace: "local",
    environment: "main",
    app,
    function: functionName,
    endpoint: `main/${app}/${functionName}`,
    settings: { timeout: 300, resultTtl: 3600 },
  };
}

const enrolled = new Map<string, Promise<BoxEnrolment>>();

/** The box of this name, enrolled once. */
export function enrolledBox(box: string, workspace = "local"): Promise<BoxEnrolment> {
  const name = `${workspace}/${box}`;
  const known = enrolled.get(name) ?? enrol(box, workspace);
  enrolled.set(name, known);
  return known;
}

/** Enrols a box, anew where it is enrolled already. */
export async function enrol(
  box: string,
  workspace = "local",
  ephemeral = false,
): Promise<BoxEnrolment> {
  const chosen = { name: box, region: "", ephemeral };
  const answer = await workspaceStub(env, workspace).enrolBox(chosen, "test");
  if (!answer.ok) throw new Error(`not enrolled: ${answer.error.detail}`);
  const { serial, key } = answer.value;
  const identity = { workspace, box, serial, key, audience: AUDIENCE };
  enrolled.set(`${workspace}/${box}`, Promise.resolve(identity));
  return identity;
}

/** The `Authorization` of a box, as its agent would make it now. */
export async function authorizationOf(box: BoxEnrolment): Promise<string> {
  return `Bearer ${await mintBoxCredential(box, Date.now() / 1_000)}`;
}

/** The gateway's answer to a dial. */
export async function dial(
  box: BoxEnrolment,
  incarnation = "a".repeat(32),
  authorization?: string,
  link = 0,
): Promise<Response> {
  return await SELF.fetch(`${BASE}/_postern/link/${link}`, {
    headers: {
      host: AUDIENCE,
      upgrade: "websocket",
      authorization: authorization ?? (await authorizationOf(box)),
      "postern-incarnation": incarnation,
    },
  });
}

/** Connects; resolves when the gateway has said welcome, rejects when it closes the link instead. */
export async function connectAgent(box: string, behaviour: Behaviour = {}): Promise<FakeAgent> {
  const incarnation = behaviour.incarnation ?? "a".repeat(32);
  const response = await dial(
    await enrolledBox(box, behaviour.workspace ?? behaviour.endpoints?.[0]?.workspace),
    incarnation,
    undefined,
    behaviour.link,
  );
  const socket = response.webSocket;
  if (socket === null) throw new Error(`refused: ${response.status} ${await response.text()}`);
  const welcomed = Promise.withResolvers<Welcome>();
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  const streams = new Multiplexer({
    role: "agent",
    onPending: () => queueMicrotask(flush),
    onControl: (_type, text) => {
      const welcome = parseWelcome(text);
      streams.speak(welcome.version);
      welcomed.resolve(welcome);
    },
    acceptor: {
      onOpen: (stream, text, body, end) => {
        const head = parseOpenHead(text);
        const events =
          "operation" in head
            ? behaviour.operate?.(stream, head, body, end)
            : behaviour.open?.(stream, head, body, end);
        return { ...NO_EVENTS, ...events };
      },
      onAttach: (stream, text) => ({
        ...NO_EVENTS,
        ...behaviour.attach?.(stream, parseAttach(text)),
      }),
    },
  });
  const flush = (): void => {
    const [message] = packFrames(streams.takeFrames());
    if (message !== undefined) socket.send(message);
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    if (data instanceof ArrayBuffer) streams.receive(new Uint8Array(data));
  });
  socket.addEventListener("close", ({ code, reason }) => {
    closed.resolve({ code, reason });
    welcomed.reject(new Error(`closed: ${code} ${reason}`));
  });
  socket.accept();
  streams.control(FRAME.HELLO, {
    versions: behaviour.versions ?? [...PROTOCOL_VERSIONS],
    agent: "test",
    incarnation,
    links: 1,
    ...(behaviour.link === undefined && { endpoints: behaviour.endpoints ?? [] }),
  });
  return {
    welcome: await welcomed.promise,
    close: () => socket.close(1000, "done"),
    cut: () => socket.close(1001, "cut"),
    closed: closed.promise,
  };
}

/** The header lines of a client's WebSocket handshake (RFC 6455, 4.1). */
export const HANDSHAKE = {
  upgrade: "websocket",
  connection: "Upgrade",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
} as const;

/** Dials back for a client's WebSocket; the agent's end. */
export async function dialBack(box: BoxEnrolment, nonce: string, link = 0): Promise<WebSocket> {
  const { webSocket: socket, status } = await SELF.fetch(`${BASE}/_postern/dial/${link}/${nonce}`, {
    headers: { host: AUDIENCE, upgrade: "websocket", authorization: await authorizationOf(box) },
  });
  if (socket === null) throw new Error(`the dial-back was refused: ${status}`);
  socket.accept();
  return socket;
}

/** Asks an endpoint by its name below the base domain. */
export async function ask(name: string, path = "/", init: RequestInit = {}): Promise<Response> {
  const host = `${name}.localhost:8787`;
  const headers = new Headers(init.headers);
  headers.set("host", host);
  return await SELF.fetch(`http://${host}${path}`, { ...init, headers });
}
