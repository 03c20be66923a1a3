/** How the call of a WebSocket ends, with an app and a gateway that are plain sockets. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createSocketServer,
  type Socket,
} from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { Call, Settlement } from "../../../origin-gpu/calls/call.ts";
import type { Dialled, GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { proxyWebSocket } from "../../../origin-gpu/proxy/proxy-websocket.ts";
import { OPCODE } from "../../../origin-gpu/websocket/frames.ts";
import type { Relay } from "../../../origin-gpu/websocket/relay.ts";
import { closePayload, unmaskedFrame } from "../../support/websocket-frames.ts";

/** RFC 6455, 1.3. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

interface Ends {
  /** The app's end, and the client's as the gateway has it. */
  readonly app: Socket;
  readonly client: Socket;
  readonly relay: Relay;
}

/** A WebSocket of a client at an app. */
async function openSocket(): Promise<Ends & { readonly settled: Promise<Settlement> }> {
  const accepted = Promise.withResolvers<Socket>();
  const server: Server = createServer().on("upgrade", ({ headers }, socket: Socket) => {
    const key = `${headers["sec-websocket-key"]}${ACCEPT_SUFFIX}`;
    const accept = createHash("sha1").update(key).digest("base64");
    const lines = ["Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${accept}`];
    socket.write(["HTTP/1.1 101 Switching Protocols", ...lines, "", ""].join("\r\n"));
    socket.resume().on("error", () => undefined);
    accepted.resolve(socket);
  });
  const gatewayServer = createSocketServer();
  for (const one of [server, gatewayServer]) {
    one.listen(0, "127.0.0.1");
    await once(one, "listening");
    onTestFinished(() => void one.close());
  }
  const dialled = Promise.withResolvers<Socket>();
  gatewayServer.once("connection", (socket) => {
    socket.resume().on("error", () => undefined);
    dialled.resolve(socket);
  });
  const gateway = {
    needsMask: false,
    dial: async (): Promise<Dialled> => {
      const socket = connect((gatewayServer.address() as AddressInfo).port, "127.0.0.1");
      socket.on("error", () => undefined);
      await once(socket, "connect");
      return { kind: "open", socket, head: Buffer.alloc(0) };
    },
  } as unknown as GatewayAddress;
  const settled = Promise.withResolvers<Settlement>();
  const call = {
    head: { headers: ["Host", "app"], target: "/", websocket: "dial" },
    start: () => undefined,
    respond: () => undefined,
    detach: (closed: Promise<Settlement>) => settled.resolve(closed),
  } as unknown as Call;
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const relay = await proxyWebSocket(
    call,
    { origin },
    {
      gateway,
      link: 1,
      maxMessageBytes: 1_000,
      hostHeader: undefined,
      onRefused: () => Promise.resolve(),
    },
  );
  if (relay === undefined) throw new Error("the WebSocket was not opened");
  const [app, client] = await Promise.all([accepted.promise, dialled.promise]);
  return { app, client, relay, settled: settled.promise };
}

const CLOSE = { opcode: OPCODE.close, payload: closePayload(1_000) };

test.each<[string, (ends: Ends) => void, Settlement]>([
  [
    "is closed where both ends have said so",
    ({ app, client }) => {
      client.end(unmaskedFrame(CLOSE));
      app.end(unmaskedFrame(CLOSE));
    },
    "closed",
  ],
  ["is closed where its client is lost", ({ client }) => client.resetAndDestroy(), "closed"],
  ["broke where the app is lost", ({ app }) => app.resetAndDestroy(), "broke"],
  [
    "is given up where the agent closes it",
    ({ app, client, relay }) => {
      relay.close(1_001, "the container stops");
      for (const socket of [app, client]) socket.resetAndDestroy();
    },
    "given_up",
  ],
])("the call of a WebSocket %s", async (_which, end, how) => {
  const { settled, ...ends } = await openSocket();
  end(ends);
  expect(await settled).toBe(how);
});
