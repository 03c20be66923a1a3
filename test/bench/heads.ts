/**
 * What parsing a head costs, by hand and with a schema, in nanoseconds: `npx node test/bench/heads.ts` prints
 * the least of several rounds. routing/wire/heads.ts draws the conclusion.
 */
import * as z from "zod";
import { parseRequestHead, parseResponseHead } from "../../routing/wire/heads.ts";
import { parseFailure } from "../../routing/wire/messages.ts";

const ROUNDS = 20;
const HEADS_PER_ROUND = 20_000;

const HEADERS = z.array(z.string()).refine((headers) => headers.length % 2 === 0);
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
// oxlint-disable-next-line no-control-regex
const VALUE = /^[^\u0000-\u0008\u000a-\u001f\u007f]*$/;

const REQUEST_HEAD = z.object({
  callId: z.string(),
  endpoint: z.string(),
  method: z.string(),
  target: z.string(),
  headers: HEADERS,
  async: z.boolean().optional(),
  key: z.string().optional(),
  websocket: z.string().optional(),
});

const RESPONSE_HEAD = z.object({
  status: z.int().min(101).max(599),
  headers: HEADERS.refine((headers) =>
    headers.every((text, index) => (index % 2 === 0 ? NAME.test(text) : VALUE.test(text))),
  ),
  length: z.int().min(0).optional(),
  timing: z
    .object({ queue: z.number().min(0), start: z.number().min(0), app: z.number().min(0) })
    .optional(),
});

const request = JSON.stringify({
  callId: "0e4f3f0a-6f0b-4a0e-9d5b-2f4f4c7f9b1d",
  endpoint: "main/speech/serve",
  method: "POST",
  target: "/v1/audio/transcriptions?language=en",
  headers: [
    ["host", "speech-serve.example.com"],
    ["accept", "*/*"],
    ["accept-encoding", "gzip, deflate"],
    ["content-type", "application/json"],
    ["content-length", "120"],
    ["user-agent", "python-httpx/0.27.0"],
    ["x-forwarded-for", "203.0.113.7"],
    ["x-forwarded-proto", "https"],
    ["x-request-id", "0e4f3f0a-6f0b-4a0e-9d5b-2f4f4c7f9b1d"],
  ].flat(),
});

const response = JSON.stringify({
  status: 200,
  headers: [
    ["date", "Sat, 28 Nov 2026 07:00:00 GMT"],
    ["server", "uvicorn"],
    ["content-type", "application/json"],
    ["content-length", "1024"],
    ["cache-control", "no-store"],
    ["vary", "accept-encoding"],
  ].flat(),
  timing: { queue: 0, start: 0, app: 12.5 },
});

const failure = JSON.stringify({ code: "queue_full", detail: "the queue is full", retryAfter: 1 });

const CASES: readonly (readonly [name: string, parse: () => unknown])[] = [
  ["request head, JSON.parse alone", () => JSON.parse(request)],
  ["request head, by hand", () => parseRequestHead(request)],
  ["request head, by a schema", () => REQUEST_HEAD.parse(JSON.parse(request))],
  ["response head, JSON.parse alone", () => JSON.parse(response)],
  ["response head, by hand", () => parseResponseHead(response)],
  ["response head, by a schema", () => RESPONSE_HEAD.parse(JSON.parse(response))],
  ["failure, JSON.parse alone", () => JSON.parse(failure)],
  ["failure, by its schema", () => parseFailure(failure)],
];

for (const [name, parse] of CASES) {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    for (let count = 0; count < HEADS_PER_ROUND; count += 1) parse();
    least = Math.min(least, (performance.now() - start) / HEADS_PER_ROUND);
  }
  console.log(`${name}: ${Math.round(least * 1e6)} ns`);
}
