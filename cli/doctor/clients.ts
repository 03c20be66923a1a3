/** Tries an endpoint as its clients would, and explains each answer. */
import { randomBytes } from "node:crypto";
import { ask, broken, type Patient, problemOf, proxyOf } from "./patient.ts";
import { answererOf, type TriedAnswer } from "./exchange.ts";
import { failed, type Finding, ok, skipped, warning } from "./finding.ts";
import { isOwnAddress } from "./own-address.ts";
import { slowAnswer } from "./slow.ts";
import type { ErrorCode } from "../../routing/wire/errors.ts";

/** A response whose whole body came at once after so long was held back somewhere. */
const HELD_BACK_MS = 1_000;
const AT_ONCE_MS = 20;

/** Clocks that differ by more make credentials invalid. */
const MAX_CLOCK_SKEW_MS = 60_000;

/** Postern's answers that each client gets, and who may get another one: a person signs in without a key. */
const SAME_FOR_ALL: Partial<Record<ErrorCode, "nobody" | "people">> = {
  no_such_endpoint: "nobody",
  wrong_host: "nobody",
  missing_credentials: "people",
  invalid_credentials: "people",
};

interface FirstTry {
  readonly findings: readonly Finding[];
  /** Who may get another answer. */
  readonly others: "all" | "nobody" | "people";
}

/** As curl: a plain request with the key. The clock is read off its answer. */
export async function asCurl(patient: Patient, now: () => number): Promise<FirstTry> {
  const answer = await ask(patient, { headers: { "user-agent": "curl/8.0", accept: "*/*" } });
  if (answer instanceof Error) return { findings: [broken("curl", answer)], others: "all" };
  if (await isOwnAddress(answer, patient.server)) {
    const remedy = "give the URL of an endpoint: `postern url` prints it";
    return { findings: [failed("curl", "the gateway's own address", remedy)], others: "nobody" };
  }
  const answerer = answererOf(answer);
  const others = answerer.by === "postern" ? (SAME_FOR_ALL[answerer.code] ?? "all") : "all";
  return { findings: curlFindings(answer, patient, now), others };
}

function curlFindings(answer: TriedAnswer, patient: Patient, now: () => number): Finding[] {
  const problem = problemOf("curl", answer, patient);
  const finding =
    problem ?? slowAnswer("curl", answer, "some") ?? ok("curl", `${answer.status} from the app`);
  const { date } = answer.headers;
  if (date === undefined) return [finding];
  const skewMs = Math.abs(Date.parse(date) - now());
  return skewMs <= MAX_CLOCK_SKEW_MS
    ? [finding]
    : [
        finding,
        warning(
          "clock",
          `the server's clock and this machine's differ by ${Math.round(skewMs / 1_000)} s`,
          "set both by NTP: credentials of boxes and JWTs are good for a short time",
        ),
      ];
}

/** Without the key: whether the lock holds. */
export async function withoutKey(patient: Patient): Promise<Finding> {
  if (patient.key === undefined) return skipped("lock", "no key was given to leave out: --key KEY");
  const answer = await ask({ ...patient, key: undefined }, {});
  if (answer instanceof Error) return broken("lock", answer);
  if (answer.status === 401) return ok("lock", "401 without the key");
  const finding = warning(
    "lock",
    `${answer.status} without the key: anybody may call`,
    "set requires_proxy_auth = true, where that is not meant",
  );
  // A refusal before the app, such as that of a rate limit, says nothing of the lock.
  return answererOf(answer).by === "app"
    ? finding
    : (problemOf("lock", answer, patient) ?? finding);
}

/** As an EventSource: whether events come as they are made. */
export async function asEventSource(patient: Patient): Promise<Finding> {
  let answer = await ask(patient, {
    headers: { accept: "text/event-stream", "cache-control": "no-cache" },
  });
  // It gets Postern's errors as a line of text, which has no code.
  if (!(answer instanceof Error) && answer.text.startsWith("postern: "))
    answer = await ask(patient, { headers: { accept: "application/json" } });
  if (answer instanceof Error) return broken("eventsource", answer);
  const problem =
    problemOf("eventsource", answer, patient) ?? slowAnswer("eventsource", answer, "all");
  if (problem !== undefined) return problem;
  const type = answer.headers["content-type"] ?? "";
  if (!type.startsWith("text/event-stream"))
    return skipped("eventsource", "no event stream is at this path");
  if (answer.firstByteMs === undefined) return ok("eventsource", "the stream is open, and silent");
  return (
    heldBack("eventsource", answer) ??
    ok("eventsource", `the first event came after ${Math.round(answer.firstByteMs)} ms`)
  );
}

/** As a WebSocket: whether the handshake gets through. */
export async function asWebSocket(patient: Patient): Promise<Finding> {
  const { url } = patient.server;
  const answer = await ask(patient, {
    headers: {
      origin: url.origin,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
    },
  });
  if (answer instanceof Error) return broken("websocket", answer);
  if (answer.status === 101) return ok("websocket", "the app took the handshake");
  const problem = problemOf("websocket", answer, patient);
  if (problem !== undefined && answererOf(answer).by !== "app") return problem;
  const proxy = proxyOf(answer);
  if (answer.status === 200 && proxy !== undefined) {
    return warning(
      "websocket",
      `200 instead of 101, behind ${proxy}`,
      'where the app has a WebSocket here, the proxy drops Upgrade: nginx needs proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and Connection "upgrade"',
    );
  }
  return skipped("websocket", `the app has none at this path (${answer.status})`);
}

/** As an OpenAI client: the list of models. */
export async function asOpenAi(patient: Patient): Promise<Finding> {
  const { pathname } = patient.server.url;
  const base = pathname.replace(/\/+$/, "");
  const path = `${base.endsWith("/v1") ? base : `${base}/v1`}/models`;
  const answer = await ask(patient, {
    path,
    headers: { accept: "application/json", "user-agent": "OpenAI/Python" },
  });
  if (answer instanceof Error) return broken("openai", answer);
  if (answer.status === 404 && answererOf(answer).by === "app")
    return skipped("openai", `no API is at ${path}`);
  const problem = problemOf("openai", answer, patient) ?? slowAnswer("openai", answer, "all");
  if (problem !== undefined) return problem;
  const names = modelsOf(answer.text);
  return names === undefined
    ? skipped("openai", `no list of models is at ${path}`)
    : ok("openai", `${path} lists ${names.slice(0, 3).join(", ") || "no model"}`);
}

/** As an MCP client: the first message of a session, also where an app that is mounted at `/mcp/` leads from `/mcp`. */
export async function asMcp(patient: Patient): Promise<Finding> {
  const { url } = patient.server;
  const path = url.pathname === "/" ? "/mcp" : url.pathname;
  const first = await initialize(patient, path);
  if (first instanceof Error) return broken("mcp", first);
  const next = ownTargetOf(first, new URL(path, url));
  const answer = next === undefined ? first : await initialize(patient, next);
  if (answer instanceof Error) return broken("mcp", answer);
  if ((answer.status === 404 || answer.status === 405) && answererOf(answer).by === "app") {
    return skipped("mcp", `no MCP server is at ${path}`);
  }
  const problem = problemOf("mcp", answer, patient) ?? slowAnswer("mcp", answer, "none");
  if (problem !== undefined) return problem;
  if (!answer.text.includes('"jsonrpc"') || !answer.text.includes('"protocolVersion"'))
    return skipped("mcp", `no MCP server is at ${path}`);
  const late = heldBack("mcp", answer);
  if (late !== undefined) return late;
  return next === undefined
    ? ok("mcp", `a session begins at ${path}`)
    : warning(
        "mcp",
        `a session begins at ${next}, to which ${path} leads`,
        `give clients ${new URL(next, url).href}: some follow no redirect of a POST`,
      );
}

async function initialize(patient: Patient, path: string): Promise<TriedAnswer | Error> {
  return await ask(patient, {
    path,
    method: "POST",
    headers: { accept: "application/json, text/event-stream", "content-type": "application/json" },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: {
        protocolVersion: "2025-06-18",
        capabilities: {},
        clientInfo: { name: "postern-doctor", version: "1" },
      },
    }),
  });
}

/**
 * Path and query of the URL at the same host at which a client is to repeat its POST (RFC 9110, 15.4.8); undefined where
 * the app says none.
 */
function ownTargetOf(answer: TriedAnswer, asked: URL): string | undefined {
  const { location = "" } = answer.headers;
  if ((answer.status !== 307 && answer.status !== 308) || answererOf(answer).by !== "app") return;
  if (!URL.canParse(location, asked.href)) return;
  const { host, pathname, search } = new URL(location, asked);
  return host === asked.host ? `${pathname}${search}` : undefined;
}

/** A proxy that keeps a stream until it is whole. */
function heldBack(check: string, answer: TriedAnswer): Finding | undefined {
  const { firstByteMs = 0, endMs } = answer;
  const isHeld = firstByteMs >= HELD_BACK_MS && endMs - firstByteMs <= AT_ONCE_MS;
  const events = answer.text.split("\n\n").length - 1;
  if (!isHeld || events < 3) return undefined;
  return warning(
    check,
    `${events} events came at once after ${(firstByteMs / 1_000).toFixed(1)} s`,
    `${proxyOf(answer) ?? "a proxy in front, or the app,"} holds the stream back: in nginx set proxy_buffering off, and no gzip for text/event-stream`,
  );
}

function modelsOf(text: string): string[] | undefined {
  try {
    const { data } = JSON.parse(text) as { data?: unknown };
    if (!Array.isArray(data)) return undefined;
    return data.map((model: unknown) => String((model as { id?: unknown } | null)?.id));
  } catch {
    return undefined;
  }
}
