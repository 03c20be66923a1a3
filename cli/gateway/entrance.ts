/**
 * The place where a gateway's clients connect. On Linux workerd itself listens there, on a socket that this process
 * holds. Elsewhere, where strangers connect without a proxy, and where the operator asks for it, the TCP front stands
 * before workerd (cli/front/).
 */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { verifyBoxCredential } from "../../auth/box-credential.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";
import { isTrusted, parseTrustedProxies } from "../../routing/trusted-proxies.ts";
import { codeOf, CommandFailure, reasonOf } from "../failure.ts";
import { startFront } from "../front/front.ts";
import { placesForBoxes } from "../front/places.ts";
import { ConnectionTable } from "./connection-table.ts";
import { HalfClosedWatch } from "./half-closed-watch.ts";
import { type HeldSocket, holdSocket } from "./held-socket.ts";
import { isLoopback } from "./plain-http.ts";
import { connectionsAtFront, sharedConnections, waitingRequests } from "./room.ts";
import type { GatewaySettings } from "./settings.ts";
import { limitUnsent } from "./unsent-limit.ts";

/** How often a gateway that ends looks whether its last client has gone. */
const CLOSING_POLL_MS = 100;

export interface Entrance {
  readonly port: number;
  /** The listening socket that workerd inherits; undefined where the front has it. */
  readonly socketFd: number | undefined;
  /** The Worker's variables that say how it learns of its clients. */
  readonly variables: Readonly<Record<string, string>>;
  /** Called when workerd runs for the first time. */
  opened(): void;
  /** Stops accepting. Resolves when the last client has gone. Links of boxes stay open: they carry responses. */
  close(): Promise<void>;
  /** Gives up the clients that are left; those of the front break at once, the others with workerd. */
  reset(): void;
}

export interface EntranceOptions {
  readonly settings: GatewaySettings;
  /** The gateway's secret, in the form of `POSTERN_KEY`. */
  readonly key: string;
  /** The base domain, from the port that was chosen. */
  readonly baseDomain: (port: number) => string;
  /** workerd's own port on 127.0.0.1. Pending while workerd is down. */
  readonly workerdPort: () => Promise<number>;
  /** workerd's process; undefined while it is down. */
  readonly workerdPid: () => Promise<number | undefined>;
  readonly log: (line: string) => void;
}

/** Listens. @throws {CommandFailure} that says in one line why it can't */
export async function openEntrance(options: EntranceOptions): Promise<Entrance> {
  const { host, port } = options.settings;
  try {
    if (wantsFront(options.settings)) return await openFront(options, port);
    const socket = await holdSocket(host, port, options.log);
    const table = await ConnectionTable.find(socket.port);
    if (table !== undefined) return new DirectEntrance(options, socket, table);
    // The kernel shows no connections, so clients that leave could not be noticed.
    await socket.close();
    return await openFront(options, socket.port);
  } catch (error) {
    throw listenFailure(error, options.settings);
  }
}

/** Strangers reach an address of the network, unless a trusted proxy stands before it. */
function wantsFront({ front, host, variables }: GatewaySettings): boolean {
  if (front !== "auto") return front === "always";
  return !isLoopback(host) && !variables["POSTERN_TRUSTED_PROXIES"];
}

class DirectEntrance implements Entrance {
  readonly port: number;
  readonly socketFd: number;
  readonly variables: Readonly<Record<string, string>>;
  readonly #socket: HeldSocket;
  readonly #table: ConnectionTable;
  readonly #watch: HalfClosedWatch;
  #isReset = false;

  constructor(
    { baseDomain, workerdPort, workerdPid }: EntranceOptions,
    socket: HeldSocket,
    table: ConnectionTable,
  ) {
    this.#table = table;
    this.port = socket.port;
    this.socketFd = socket.fd;
    this.#socket = socket;
    const secret = newSecret();
    const descriptors = descriptorLimit();
    const max = waitingRequests(descriptors);
    this.variables = {
      POSTERN_WATCH_SECRET: secret,
      POSTERN_MAX_WAITING: `${max - placesForBoxes(max)}`,
      POSTERN_MAX_CONNECTIONS: `${sharedConnections(descriptors)}`,
    };
    const domain = baseDomain(socket.port);
    this.#watch = new HalfClosedWatch({
      table: async () => table,
      port: socket.port,
      workerdPort,
      workerdPid,
      baseDomain: domain,
      secret,
    });
  }

  opened(): void {
    this.#watch.start();
  }

  async close(): Promise<void> {
    this.#watch.end();
    await this.#socket.close();
    while (!this.#isReset && (await this.#hasClients())) await delay(CLOSING_POLL_MS);
  }

  reset(): void {
    this.#isReset = true;
  }

  async #hasClients(): Promise<boolean> {
    const names = await this.#table.connections([this.port], ["open", "half_closed"]);
    return names.some((name) => !this.#watch.boxes.has(name));
  }
}

async function openFront(options: EntranceOptions, port: number): Promise<Entrance> {
  const { settings, key, baseDomain, workerdPort, log } = options;
  const secret = newSecret();
  const watchSecret = newSecret();
  const max = connectionsAtFront(descriptorLimit());
  let domain = "";
  const front = await startFront({
    host: settings.host,
    port,
    maxConnections: max,
    secret,
    onSocket: (fd) => limitUnsent(fd, log),
    baseDomain: (chosen) => (domain = baseDomain(chosen)),
    upstreamPort: workerdPort,
    isProxy: proxyOf(settings),
    isBoxCredential: async (credential) => await isBoxCredential(key, credential, domain),
    log,
  });
  const isListed = (await ConnectionTable.find(front.port)) !== undefined;
  const watch = isListed ? watchBehindFront(options, domain, watchSecret) : undefined;
  return {
    port: front.port,
    socketFd: undefined,
    variables: {
      POSTERN_FRONT_SECRET: secret,
      POSTERN_MAX_CONNECTIONS: `${max - placesForBoxes(max)}`,
      ...(isListed && { POSTERN_WATCH_SECRET: watchSecret }),
    },
    opened: () => watch?.start(),
    close: async () => {
      watch?.end();
      await front.close();
    },
    reset: () => front.reset(),
  };
}

/** Has the Worker told which of its connections are open. The front itself notices clients that leave. */
function watchBehindFront(
  { workerdPort, workerdPid }: EntranceOptions,
  baseDomain: string,
  secret: string,
): HalfClosedWatch {
  const table = async () => await ConnectionTable.find(await workerdPort());
  return new HalfClosedWatch({
    table,
    port: undefined,
    workerdPort,
    workerdPid,
    baseDomain,
    secret,
  });
}

function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** This machine's own address stands for each client of a proxy here; a trusted proxy's for its clients. */
function proxyOf({ variables }: GatewaySettings): (address: string) => boolean {
  const trusted = variables["POSTERN_TRUSTED_PROXIES"] ?? "";
  const proxies = parseTrustedProxies(`127.0.0.0/8,::1,${trusted}`);
  return (address) => proxies.ok && isTrusted(proxies.value, address);
}

async function isBoxCredential(key: string, credential: string, domain: string): Promise<boolean> {
  const keys = await deriveGatewayKeys(key);
  const verdict = await verifyBoxCredential(keys, credential, domain, Date.now() / 1_000);
  return verdict.kind === "valid";
}

function listenFailure(error: unknown, { host, port }: GatewaySettings): unknown {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return new CommandFailure(`port ${port} is already taken; choose another with --port`);
    case "EACCES":
      return new CommandFailure(`port ${port} needs privileges; choose one above 1023 with --port`);
    case "EADDRNOTAVAIL":
      return new CommandFailure(
        `${host} is not an address of this machine; choose another with --host`,
      );
    default:
      return error instanceof CommandFailure
        ? error
        : new CommandFailure(`can't listen on ${host}:${port}: ${reasonOf(error)}`);
  }
}

/** That of this process, which Node raises to the hard one at its start. Infinity where there is none. */
function descriptorLimit(): number {
  const text = execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" });
  const limit = Number(text);
  return Number.isNaN(limit) ? Number.POSITIVE_INFINITY : limit;
}
