/**
 * Postern as its users run it: the real command, in processes of its own, on free ports, with a state
 * directory that goes away. Ready means that the command said so; nothing here sleeps.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type TomlTable, stringify } from "smol-toml";

import { ownAccess } from "../../cli/access.ts";
import type { Address } from "./http-client.ts";
import { ManagedProcess, commandLine, processTree } from "./processes.ts";
import { freePort, temporaryDirectory } from "./temporary.ts";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const APPS = fileURLToPath(new URL("apps", import.meta.url));
const COMMAND = "cli/postern.js";
const FAULTY_GATEWAY = join(ROOT, "test/support/faulty-gateway.ts");
export const WORKSPACE = "tests";
const APP = "e2e";

/** An `[[endpoint]]` of postern.toml as a table; `function` is its name. */
export type EndpointTable = TomlTable & { function: string };

/** The plain node:http server of test/support/apps as an endpoint. */
export function webServer(more: TomlTable = {}): EndpointTable {
  return {
    function: "web",
    web_server: ["node", join(APPS, "web-server.ts")],
    max_inputs: 2000,
    ...more,
  };
}

/** A server that the test runs itself. */
export function upstream(port: number, more: TomlTable = {}): EndpointTable {
  return { function: "web", upstream: `http://127.0.0.1:${port}`, max_inputs: 2000, ...more };
}

/** Writes a postern.toml into a fresh directory and returns its path. */
export function writeConfig(endpoints: readonly EndpointTable[]): string {
  const file = join(temporaryDirectory(), "postern.toml");
  writeFileSync(file, stringify({ workspace: WORKSPACE, app: APP, endpoint: [...endpoints] }));
  return file;
}

export interface GatewayOptions {
  /** Kept by a restart; a free one otherwise. */
  readonly port?: number;
  readonly stateDirectory?: string;
  readonly flags?: readonly string[];
  /** The base domain where it is not `localhost` with the port: then URLs are `https`. */
  readonly domain?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Hard limit of open descriptors for the command and everything below it. */
  readonly descriptors?: number;
  /** With the Worker whose objects can be ended from outside (`resetOrigin`). */
  readonly isFaulty?: boolean;
  /** Another checkout of this repository, whose command it is. */
  readonly checkout?: string;
  /** With `isFaulty`: Worker and objects share no memory, as on Cloudflare. */
  readonly manyIsolates?: boolean;
}

/** A running `postern gateway` or `postern up`. */
export class Gateway {
  readonly process: ManagedProcess;
  readonly port: number;
  readonly stateDirectory: string;
  /** Whose command it is. */
  readonly checkout: string;
  readonly #domain: string;

  constructor(
    process: ManagedProcess,
    port: number,
    stateDirectory: string,
    {
      checkout = ROOT,
      domain = `localhost:${port}`,
    }: Pick<GatewayOptions, "checkout" | "domain"> = {},
  ) {
    this.process = process;
    this.port = port;
    this.stateDirectory = stateDirectory;
    this.checkout = checkout;
    this.#domain = domain;
  }

  /** The base domain itself: API and pages. */
  get base(): Address {
    return { port: this.port, host: this.#domain };
  }

  /** Where a function of the test app answers; under `serve` its label ends in `-dev`. */
  address(functionName = "web", suffix = ""): Address {
    return {
      port: this.port,
      host: `${WORKSPACE}--${APP}-${functionName}${suffix}.${this.#domain}`,
    };
  }

  /** The workerd below this command. */
  get workerdPid(): number {
    const pid = processTree(this.process.pid).find((candidate) =>
      /\/workerd\S* serve /.test(commandLine(candidate)),
    );
    if (pid === undefined) throw new Error("no workerd runs below the gateway");
    return pid;
  }

  /** The port on which workerd itself listens, behind the front. */
  get workerdPort(): number {
    const text = readFileSync(join(this.stateDirectory, "gateway.json"), "utf8");
    return (JSON.parse(text) as { workerdPort: number }).workerdPort;
  }

  async stop(): Promise<void> {
    await this.process.stop("SIGINT");
  }
}

interface CommandOptions extends Pick<
  GatewayOptions,
  "env" | "cwd" | "descriptors" | "isFaulty" | "checkout"
> {}

/** Starts `postern <command>` on the Node that runs the tests, in an empty directory unless told. */
export function startCommand(
  args: readonly string[],
  options: CommandOptions = {},
): ManagedProcess {
  const command: [string, ...string[]] = [
    process.execPath,
    ...(options.isFaulty === true ? [FAULTY_GATEWAY] : [join(options.checkout ?? ROOT, COMMAND)]),
    ...args,
  ];
  const limited: [string, ...string[]] =
    options.descriptors === undefined
      ? command
      : ["sh", "-c", `ulimit -n ${options.descriptors}; exec "$0" "$@"`, ...command];
  return new ManagedProcess(limited, {
    cwd: options.cwd ?? temporaryDirectory(),
    env: { ...process.env, ...options.env },
  });
}

async function startGatewayCommand(
  command: readonly string[],
  ready: (port: number) => RegExp,
  options: GatewayOptions,
): Promise<Gateway> {
  const port = options.port ?? (await freePort());
  const stateDirectory = options.stateDirectory ?? join(temporaryDirectory(), "state");
  const flags = ["--port", String(port), "--state", stateDirectory, ...(options.flags ?? [])];
  if (options.domain !== undefined) flags.push("--base-domain", options.domain);
  const managed = startCommand([...command, ...flags], options);
  await managed.waitForOutput(ready(port));
  return new Gateway(managed, port, stateDirectory, options);
}

/** `postern gateway`, ready when it has printed its URL. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const env = {
    POSTERN_WORKSPACE: WORKSPACE,
    ...(options.manyIsolates === true && { MANY_ISOLATES: "1" }),
    ...options.env,
  };
  return await startGatewayCommand(
    options.isFaulty === true ? [] : ["gateway"],
    (port) => {
      const { domain } = options;
      return new RegExp(domain === undefined ? `http://localhost:${port}` : `https://${domain}`);
    },
    {
      ...options,
      env,
    },
  );
}

/** `postern up` with these endpoints, ready when it has printed the last one's URL. */
export async function startUp(
  endpoints: readonly EndpointTable[],
  options: GatewayOptions = {},
): Promise<Gateway> {
  const last = endpoints.at(-1)?.function ?? "web";
  return await startGatewayCommand(
    ["up", "--config", writeConfig(endpoints)],
    (port) => {
      const { domain } = options;
      const url = `${domain === undefined ? "http" : "https"}://${WORKSPACE}--${APP}-${last}.`;
      return new RegExp(url + (domain ?? `localhost:${port}`));
    },
    options,
  );
}

/**
 * `postern serve` of these endpoints against a gateway, ready when it has printed the last one's URL.
 * `throughPort` is where the agent dials instead of the gateway's own port: a proxy of the test.
 */
export async function startServe(
  gateway: Gateway,
  endpoints: readonly EndpointTable[],
  throughPort = gateway.port,
  env: NodeJS.ProcessEnv = {},
): Promise<ManagedProcess> {
  const last = endpoints.at(-1)?.function ?? "web";
  const { tokenId, tokenSecret } = ownAccess(gateway.stateDirectory);
  const managed = startCommand(["serve", writeConfig(endpoints)], {
    checkout: gateway.checkout,
    env: {
      ...env,
      POSTERN_URL: `http://localhost:${throughPort}`,
      POSTERN_TOKEN_ID: tokenId,
      POSTERN_TOKEN_SECRET: tokenSecret,
    },
  });
  await managed.waitForOutput(new RegExp(`http://${WORKSPACE}--${APP}-${last}-dev\\.localhost`));
  return managed;
}
