/**
 * The table of docs/limits.md against the code: each of its numbers is a constant's, and each limit that a message names
 * has a row. The tests that the rows name try the limits themselves.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

import { tableRows } from "../support/markdown.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** A file, and what it says of the number. */
type Place = readonly [file: string, text: string];

const limits = (text: string): Place => ["routing/wire/limits.ts", text];
const objects = (text: string): Place => ["api/limits.ts", text];
const body = (text: string): Place => ["gateway/worker/edge/body-reader.ts", text];
const certificates = (text: string): Place => ["cli/gateway/tls/certificate-rates.ts", text];
const jwt = (text: string): Place => ["auth/jwt.ts", text];
const output = (text: string): Place => ["origin-gpu/containers/output-limiter.ts", text];
const paths = (text: string): Place => ["routing/wire/path-rules.ts", text];
const resolve = (text: string): Place => ["origin-gpu/config/resolve.ts", text];
const resolver = (text: string): Place => ["gateway/objects/workspace/dns-over-https.ts", text];
const variables = (text: string): Place => ["routing/wire/variables.ts", text];

/** By row, each number as the table writes it, and where the code has it. */
const NUMBERS: Readonly<Record<string, Readonly<Record<string, Place>>>> = {
  "reads of a result": {
    "20": ["gateway/worker/edge/rate-limits.ts", "READS: Rate = { perSecond: 20,"],
    "100": ["gateway/worker/edge/rate-limits.ts", "burst: 100, windowS: 5 }"],
  },
  "request body": {
    "4 GiB": ["gateway/contracts/env.ts", "DEFAULT_MAX_BODY_BYTES = 4 * 1024 ** 3;"],
  },
  "request head": { "64 KiB": limits("MAX_HEADER_BYTES = 64 * KIB;") },
  "lines of a request's head": { "500": limits("MAX_HEADER_LINES = 500;") },
  "response head": { "64 KiB": limits("MAX_HEADER_BYTES = 64 * KIB;") },
  target: { "32,768": ["routing/target.ts", "MAX_TARGET_LENGTH = 32 * 1024;"] },
  "`Idempotency-Key`": {
    "255": ["routing/idempotency.ts", "MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;"],
  },
  "metadata of a connect token": {
    "511": ["routing/wire/user-data.ts", "MAX_USER_DATA_CHARACTERS = 511;"],
  },
  "a token of another issuer": { "16,384": jwt("MAX_TOKEN_CHARACTERS = 16_384;") },
  "keys of an issuer": { "100": jwt("MAX_KEYS = 100;") },
  "issuers whose keys are kept": {
    "256": ["gateway/worker/edge/published-documents.ts", "MAX_URLS = 256;"],
  },
  "redirects to a result": { "19": ["routing/redirect-budget.ts", "DEFAULT_FINAL_HOP = 19;"] },
  'body that is searched for `"stream": true`': {
    "64 KiB": ["routing/life-signs.ts", "MAX_LOOKED_AT_BYTES = 64 * 1024;"],
  },
  "JSON that becomes an event": {
    "64 KiB": ["routing/life-signs.ts", "MAX_ERROR_BYTES = 64 * 1024;"],
  },
  "body that is searched for a session's key": {
    "1 MiB": ["routing/affinity/request-keys.ts", "MAX_MEMBER_BODY_BYTES = MIB;"],
  },
  "body whose prompt is a session's key": {
    "256 KiB": ["routing/affinity/request-keys.ts", "MAX_PROMPT_BODY_BYTES = 256 * KIB;"],
  },
  "parameters of a class": {
    "16 KiB": ["origin-gpu/core/parameters.ts", "MAX_SET_BYTES = 16 * KIB;"],
  },
  "a request of a batch": {
    "1 MiB": ["origin-gpu/proxy/batched-call.ts", "MAX_ELEMENT_BYTES = MIB;"],
  },
  "WebSocket message": { "32 MiB": limits("MAX_WEBSOCKET_MESSAGE_BYTES = 32 * MIB;") },
  "requests that wait for a container": { "2,000": resolve("DEFAULT_MAX_PENDING = 2000;") },
  "heads of requests that wait at a box": {
    "256 MiB": ["origin-gpu/open-calls.ts", "WAITING_HEADS_BYTES = 256 * MIB;"],
  },
  "bodies of requests that wait at a box": {
    "10 GiB": ["origin-gpu/agent-files.ts", "WAITING_BODIES_BYTES = 10 * GIB;"],
  },
  "asynchronous calls that wait": {
    "1,000,000": resolve("DEFAULT_MAX_PENDING_ASYNC = 1_000_000;"),
  },
  "streams of a link": {
    "2,000": limits("MAX_STREAMS_PER_LINK = 2000;"),
    "100": limits("RESERVED_STREAMS_PER_LINK = 100;"),
  },
  "requests on a link that wait without a stream": {
    "20,000": limits("MAX_PARKED_PER_LINK = 20_000;"),
  },
  "clients that watch a box's calls": {
    "1,000": ["gateway/objects/link/call-watchers.ts", "MAX_WATCHERS = 1_000;"],
  },
  "readers of a box's logs": { "64": ["origin-gpu/logs/log-delivery.ts", "MAX_READERS = 64;"] },
  "ports that a box forwards": { "100": ["origin-gpu/apps/local-apps.ts", "MAX_TUNNELS = 100;"] },
  "connections at the front": {
    "40,000": ["cli/gateway/room.ts", "MAX_CONNECTIONS = 40_000;"],
    "256": ["cli/front/places.ts", "MAX_BOX_PLACES = 256;"],
  },
  "requests that wait, where no front is": {
    "10,000": ["cli/gateway/room.ts", "MAX_WAITING = 10_000;"],
  },
  "requests of one address that wait": {
    "1,000": ["gateway/worker/edge/waiting-requests.ts", "MAX_OF_ONE = 1_000;"],
  },
  "a head that does not come": {
    "15 s": ["cli/front/front.ts", "FIRST_BYTE_TIMEOUT_MS = 15_000;"],
  },
  "a body of the API": {
    "256 KiB": ["gateway/worker/api/operation-router.ts", "MAX_BODY_BYTES = 256 * 1024;"],
  },
  "a body of the API that is slow": { "20 s": body("BODY_TIMEOUT_MS = 20_000;") },
  "bodies of one workspace that come to the API": { "8 MiB": body("MAX_HELD_BYTES = 8 * MIB;") },
  "refused bodies that are read to their end, self-hosted": {
    "256": ["gateway/contracts/drained-body.ts", "MAX_DRAINS = 256;"],
    "64": ["gateway/worker/edge/unread-body.ts", "MAX_OF_ONE_NETWORK = 64;"],
    "60 s": ["gateway/contracts/drained-body.ts", "MAX_MS = 60_000;"],
  },
  "rows of usage in a day": {
    "10,000": ["gateway/objects/meter/ledger.ts", "MAX_ROWS_A_DAY = 10_000;"],
  },
  "days of usage": { "90": ["gateway/objects/meter/ledger.ts", "KEPT_DAYS = 90;"] },
  "boxes of a workspace": { "1,000": objects("MAX_BOXES = 1_000;") },
  "environments of a workspace": { "1,500": objects("MAX_ENVIRONMENTS = 1_500;") },
  "proxy tokens of a workspace": { "1,000": objects("MAX_TOKENS = 1_000;") },
  "API tokens of a workspace": { "1,000": objects("MAX_TOKENS = 1_000;") },
  "apps of an environment": {
    "1,000": ["gateway/objects/workspace/staging.ts", "MAX_APPS = 1_000;"],
  },
  "secrets of an environment": {
    "1,000": ["gateway/objects/workspace/secrets.ts", "MAX_SECRETS = 1_000;"],
  },
  "a secret": {
    "100": variables("MAX_SECRET_VARIABLES = 100;"),
    "64 KiB": variables("MAX_SECRET_BYTES = 64 * 1024;"),
  },
  "paths of a token": {
    "100": paths("MAX_PATTERNS = 100;"),
    "256": paths("MAX_PATTERN_CHARACTERS = 256;"),
  },
  "items of a page of the API": { "100": ["api/schemas.ts", "MAX_PAGE_ITEMS = 100;"] },
  "a list in `paths`": { "100": paths("MAX_PATTERNS = 100;") },
  "a path in `paths`": { "256": paths("MAX_PATTERN_CHARACTERS = 256;") },
  "addresses in `emails`": {
    "100": ["routing/wire/auth-settings.ts", "MAX_EMAIL_PATTERNS = 100;"],
  },
  "rules in `affinity`": { "16": ["routing/affinity/rules.ts", "MAX_AFFINITY_WORDS = 16;"] },
  "custom domains of a workspace": { "100": objects("MAX_DOMAINS = 100;") },
  "custom domains of an endpoint": {
    "20": ["routing/wire/custom-domains.ts", "MAX_ENDPOINT_DOMAINS = 20;"],
  },
  "a custom domain's name": {
    // 253 characters without those of `_postern-challenge.`
    "234": [
      "routing/domains.ts",
      "MAX_DOMAIN_LENGTH = MAX_HOST_LENGTH - CHALLENGE_LABEL.length - 1;",
    ],
  },
  "a question to the resolver": { "5 s": resolver("ANSWER_TIMEOUT_MS = 5_000;") },
  "an answer of the resolver": { "65,535": resolver("MAX_ANSWER_BYTES = 65_535;") },
  "new certificates of `--tls`": {
    "200": certificates("OF_ALL: Allowance = { size: 200,"),
    "1": certificates("size: 200, everyMs: MINUTE_MS }"),
  },
  "new certificates below a wildcard": {
    "20": certificates("OF_A_WILDCARD: Allowance = { size: 20,"),
    "4": certificates("size: 20, everyMs: 6 * HOUR_MS }"),
  },
  "tries for one name's certificate": {
    "1": certificates("RETRY_MS = 15 * MINUTE_MS;"),
    "15 minutes": certificates("RETRY_MS = 15 * MINUTE_MS;"),
  },
  "handshakes of names without a certificate, at a time": {
    "64": ["cli/gateway/tls/certificate-ask.ts", "MAX_QUESTIONS = 64;"],
  },
  "entries of the audit log": {
    "10,000": ["gateway/objects/workspace/audit-log.ts", "MAX_ENTRIES = 10_000;"],
  },
  "a container's output": {
    "8 MiB": output("BURST_BYTES = 8 * MIB;"),
    "1 MiB": output("BYTES_PER_SECOND = MIB;"),
    "64": output("LINE_BYTES = 64;"),
  },
};

/** Messages name these too: the form of a name or an argument, and what boxes and deployments may have. */
const NO_LIMITS_OF_CALLERS = new Set([
  "MAX_DNS_LABEL_LENGTH",
  "MAX_DEV_SUFFIX_LENGTH",
  "MAX_TAIL_LINES",
  "MAX_TIMEOUT_S",
  "MAX_LINKS",
  "MAX_CODE_FILES",
  "MAX_SHARED_FILE_BYTES",
  "MAX_VERSION_CONFIG_BYTES",
  "MAX_REASON_BYTES",
  "MOST_CARDS",
  "MOST_ITEMS",
]);

const rows = tableRows(read("docs/limits.md").split("\n## Every limit")[1] ?? "").filter(
  (cells) => cells[3]?.startsWith("`test/") === true,
);

/** Numbers of a cell as it writes them, with their unit; those of code are none. */
const numbersIn = (cell: string): string[] =>
  cell.replaceAll(/`[^`]*`/g, "").match(/\d+(?:,\d{3})*(?: (?:[KMG]iB|s|minutes)\b)?/g) ?? [];

test("each number of the table is one that the code has", () => {
  const written = rows.flatMap(([what = "", limit = ""]) =>
    numbersIn(limit).map((number) => `${what}: ${number}`),
  );
  const known = Object.entries(NUMBERS).flatMap(([what, numbers]) =>
    Object.keys(numbers).map((number) => `${what}: ${number}`),
  );
  expect(written.toSorted()).toEqual(known.toSorted());
  const wrong = Object.entries(NUMBERS).flatMap(([what, numbers]) =>
    Object.entries(numbers)
      .filter(([, [file, text]]) => !read(file).includes(text))
      .map(([number, [file]]) => `${what}: ${number} is not in ${file}`),
  );
  expect(wrong).toEqual([]);
});

test("each limit that a message names has a row", () => {
  const folders = ["api", "auth", "cli", "gateway", "origin-gpu", "routing"];
  const sources = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => read(`${folder}/${name}`)),
  );
  const named = new Set(
    sources.flatMap((text) =>
      [...text.matchAll(/\$\{(M(?:AX|OST)_\w+)\}/g)].map(([, name = ""]) => name),
    ),
  );
  const places = Object.values(NUMBERS).flatMap((numbers) => Object.values(numbers));
  const known = new Set(places.map(([, text]) => /^\w+/.exec(text)?.[0] ?? ""));
  expect(named.size).toBeGreaterThan(30);
  const missing = [...named].filter((name) => !known.has(name) && !NO_LIMITS_OF_CALLERS.has(name));
  expect(missing).toEqual([]);
  expect([...NO_LIMITS_OF_CALLERS].filter((name) => !named.has(name))).toEqual([]);
});
