/** `postern doctor`: tries an endpoint as its clients would, and says what to change. Needs no token of the API. */
import { resolve } from "node:path";
import { asBrowser } from "../doctor/browser.ts";
import {
  asCurl,
  asEventSource,
  asMcp,
  asOpenAi,
  asWebSocket,
  withoutKey,
} from "../doctor/clients.ts";
import type { Finding } from "../doctor/finding.ts";
import type { Patient } from "../doctor/patient.ts";
import { fromInside } from "../doctor/inside.ts";
import { checkCertificate, checkPort, resolveServer } from "../doctor/reach.ts";
import { asPerson } from "../doctor/sign-in.ts";
import { checkSideDoors } from "../doctor/side-doors.ts";
import { STATE_OPTION } from "../access.ts";
import { DEFAULT_STATE } from "../gateway/settings.ts";
import type { Command } from "../command.ts";
import { UsageError } from "../failure.ts";
import { printJson, printResult } from "../output.ts";

const OPTIONS = {
  ...STATE_OPTION,
  key: { type: "string", value: "KEY", summary: "a caller's key: wk-….ws-…, pct-…, or a JWT" },
} as const;

const MARKS = { ok: "✓", failed: "✗", warning: "!", skipped: "-" } as const;

/** The checks of what stands between a client and the app. */
const WAY: ReadonlySet<string> = new Set(["dns", "port", "certificate", "curl"]);

export const DOCTOR: Command<typeof OPTIONS> = {
  description: {
    name: "doctor",
    summary: "Tries an endpoint as curl, browsers, OpenAI and MCP clients do; says what to change.",
    positionals: ["URL"],
    options: OPTIONS,
    noEnvironment: "the URL says which endpoint",
    notes: ["It ends with 0 where nothing failed, with 1 where something is to be changed."],
  },
  async run({ values, positionals: [text = ""] }) {
    const [url, key] = [urlOf(text), keyOf(values.key)];
    const findings = await examine(url, key);
    const isWayBroken = isBroken(findings.filter(({ check }) => WAY.has(check)));
    findings.push(await fromInside(url, key, resolve(values.state ?? DEFAULT_STATE), isWayBroken));
    if (values.json === true) printJson(findings);
    else for (const line of findings.flatMap(linesOf)) printResult(line);
    return findings.some(({ outcome }) => outcome === "failed") ? 1 : 0;
  },
};

/** All that is found, in the order of the way there; what comes after a broken step is not tried. */
async function examine(url: URL, key: string | undefined): Promise<Finding[]> {
  const { finding, server } = await resolveServer(url);
  const findings = [finding];
  if (server === undefined) return findings;
  findings.push(await checkPort(server));
  if (isBroken(findings)) return findings;
  if (url.protocol === "https:") findings.push(await checkCertificate(server, Date.now()));
  if (isBroken(findings)) return findings;
  const patient: Patient = { server, key };
  const first = await asCurl(patient, Date.now);
  findings.push(...first.findings);
  if (first.others !== "all") {
    if (first.others === "people") findings.push(await asPerson(patient));
    return findings;
  }
  // One after the other: the app may be small.
  for (const check of [
    withoutKey,
    asPerson,
    asBrowser,
    asEventSource,
    asWebSocket,
    asOpenAi,
    asMcp,
  ]) {
    findings.push(await check(patient));
  }
  findings.push(await checkSideDoors(server));
  return findings;
}

function isBroken(findings: readonly Finding[]): boolean {
  return findings.some(({ outcome }) => outcome === "failed");
}

function linesOf({ check, outcome, detail, remedy }: Finding): string[] {
  const line = `${MARKS[outcome]} ${check.padEnd(12)}${detail}`;
  return remedy === undefined ? [line] : [line, `  ${" ".repeat(12)}→ ${remedy}`];
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new UsageError(
    `"${text}" is not a URL of an endpoint, such as https://ecorp--chat-web.example.com`,
  );
}

/** A header's value. */
function keyOf(text: string | undefined): string | undefined {
  if (text === undefined || /^[!-~]+$/.test(text)) return text;
  throw new UsageError("--key: a key has no blanks, and visible ASCII characters alone");
}
