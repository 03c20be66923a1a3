/** `postern forward`: a public URL that nobody can guess, to a port of this machine, while the command runs. */
import { connect } from "node:net";
import { resolve } from "node:path";
import { CREATE_CONNECT_TOKEN } from "../../api/connect-tokens.ts";
import { type AppConfig, FORWARDED, forwardConfig } from "../../origin-gpu/config/config.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { runUntilStopped } from "../agent.ts";
import { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { chooseEnvironment } from "../environment.ts";
import { devSuffixOf, startEphemeralApp } from "../ephemeral-app.ts";
import { secondsOfConnectToken } from "../expires.ts";
import { CommandFailure, UsageError } from "../failure.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { answerUnlessStopped, listenForStop } from "../stop-signals.ts";

const OPTIONS = {
  open: { type: "boolean", summary: "let everybody in who knows the URL" },
  expires: {
    type: "string",
    value: "TIME",
    summary: "how long the key opens: 30d, 12h, 15m or 90s (1d)",
  },
  "host-header": {
    type: "string",
    value: "NAME",
    summary: "the Host that the server sees: local, public or a name (local)",
  },
  ...STATE_OPTION,
} as const;

/** How long a server on this machine may take to accept a connection. */
const CONNECT_TIMEOUT_MS = 1_000;

export const FORWARD: Command<typeof OPTIONS> = {
  description: {
    name: "forward",
    summary: "Forwards a public URL to a port of this machine, until Ctrl-C; locked unless --open.",
    positionals: ["PORT"],
    options: OPTIONS,
    notes: [
      "The URL is random and new each time. The key opens it for any client, and a second URL for a browser.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [portText = ""] }) {
    const port = portOf(portText);
    const expiresIn = secondsOfConnectToken(values.expires);
    const isOpen = values.open === true;
    if (isOpen && expiresIn !== undefined) {
      throw new UsageError("--expires is the key's, and with --open there is none");
    }
    const config = configOf(await serverAt(port), isOpen, values["host-header"] ?? "local");
    const access = findAccess(values.state, process.env);
    const client = new ApiClient(access);
    const environment = await chooseEnvironment(client, values.env, process.env);
    const stop = listenForStop();
    const agent = await startEphemeralApp({
      access,
      config: { ...config, environment },
      state: resolve(values.state ?? DEFAULT_STATE),
      appUser: undefined,
      devSuffix: devSuffixOf(process.env),
      stop,
    });
    const [{ url } = { url: "" }] = agent.urls;
    const key = isOpen
      ? undefined
      : await answerUnlessStopped(
          client.call(CREATE_CONNECT_TOKEN, {
            path: { app: config.app },
            query: { environment },
            body: {
              function: FORWARDED,
              user_metadata: "",
              ...(expiresIn !== undefined && { expires_in: expiresIn }),
            },
          }),
          stop,
        );
    if (values.json === true) {
      printJson({
        url,
        port,
        ...(key !== undefined && {
          key: key.token,
          browser_url: key.url,
          expires_at: key.expires_at,
        }),
      });
    } else {
      printResult(url);
      if (key === undefined) printNotice("open to everybody who knows the URL");
      else {
        printResult(`  🔑 key, for any client: ${key.token}`);
        printResult(`  🔑 in a browser: ${key.url}`);
        printNotice(`the key opens until ${key.expires_at}; without one callers get 401`);
      }
    }
    return await runUntilStopped(agent, stop);
  },
};

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new UsageError(`"${text}" is not a port from 1 to 65535, such as 11434`);
}

/** The server's address: many listen to one family of addresses alone. */
async function serverAt(port: number): Promise<string> {
  const hosts = ["127.0.0.1", "::1"];
  const accepts = await Promise.all(hosts.map(async (host) => await acceptsAt(host, port)));
  const [v4 = false, v6 = false] = accepts;
  if (!v4 && !v6) {
    printNotice(`nothing listens on port ${port} yet; until something does, requests get 502`);
  }
  return !v4 && v6 ? `http://[::1]:${port}` : `http://127.0.0.1:${port}`;
}

async function acceptsAt(host: string, port: number): Promise<boolean> {
  return await new Promise((settle) => {
    const socket = connect({ host, port, timeout: CONNECT_TIMEOUT_MS });
    const end = (accepted: boolean) => () => {
      socket.destroy();
      settle(accepted);
    };
    socket.once("connect", end(true)).once("error", end(false)).once("timeout", end(false));
  });
}

/** @throws CommandFailure for a Host that is none */
function configOf(upstream: string, isOpen: boolean, hostHeader: string): AppConfig {
  const result = forwardConfig({ upstream, isOpen, hostHeader });
  if (result.ok) return result.config;
  const [problem] = result.problems;
  throw new CommandFailure(`--host-header ${problem?.message ?? hostHeader}`);
}
