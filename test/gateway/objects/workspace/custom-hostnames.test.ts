/** Custom hostnames of Cloudflare for SaaS: what the API is asked, and what becomes of each answer. */
import { expect, test } from "vitest";
import {
  CloudflareHostnames,
  type CloudflareOptions,
} from "../../../../gateway/objects/workspace/custom-hostnames.ts";

const TOKEN = "a-token-that-nobody-sees";

type Answer = { readonly status?: number; readonly headers?: HeadersInit; readonly body: unknown };

/** A client whose requests get these answers in turn, and what it asked. */
function client(...answers: readonly (Answer | Error)[]) {
  const asked: string[] = [];
  const fetch: CloudflareOptions["fetch"] = (url, { method, body, headers, redirect }) => {
    expect([new Headers(headers).get("authorization"), redirect]).toEqual([
      `Bearer ${TOKEN}`,
      "manual",
    ]);
    asked.push(`${method} ${url}${typeof body === "string" ? ` ${body}` : ""}`);
    const answer = answers[asked.length - 1];
    if (answer === undefined) throw new Error("it asks too often");
    if (answer instanceof Error) return Promise.reject(answer);
    const { status = 200, headers: given, body: sent } = answer;
    const text = typeof sent === "string" ? sent : JSON.stringify(sent);
    return Promise.resolve(new Response(text, { status, ...(given && { headers: given }) }));
  };
  const api = "https://api.example/v4";
  return { hostnames: new CloudflareHostnames({ fetch, api, zone: "zone1", token: TOKEN }), asked };
}

const BASE = "https://api.example/v4/zones/zone1/custom_hostnames";
const NONE = { body: { result: [] } };

function hostname(more: object = {}): object {
  return { id: "id1", hostname: "example.com", status: "pending", ...more };
}

test("a name's hostname is made where there is none, with a certificate that Cloudflare proves by itself", async () => {
  const { hostnames, asked } = client(NONE, { status: 201, body: { result: hostname() } });
  expect(await hostnames.ensure("example.com")).toEqual({
    detail: "Cloudflare's hostname is pending",
    retryMs: 600_000,
    isDone: true,
  });
  const ssl = '{"type":"dv","method":"http","wildcard":false}';
  expect(asked).toEqual([
    `GET ${BASE}?hostname=example.com`,
    `POST ${BASE} {"hostname":"example.com","ssl":${ssl}}`,
  ]);
});

test("one that is there is read alone; another name that the filter finds is none", async () => {
  const active = hostname({ status: "active", ssl: { status: "active" } });
  const longer = hostname({ id: "id2", hostname: "www.example.com", status: "blocked" });
  const { hostnames, asked } = client({ body: { result: [longer, active] } });
  expect(await hostnames.ensure("example.com")).toMatchObject({ detail: "", isDone: true });
  expect(asked).toHaveLength(1);
});

test("a wildcard widens the hostname of its name, and the records that prove it are told", async () => {
  const records = [{ txt_name: "_acme-challenge.example.com", txt_value: "abc" }];
  const ssl = { status: "pending_validation", wildcard: true, validation_records: records };
  const { hostnames, asked } = client(
    { body: { result: [hostname({ status: "active", ssl: { status: "active" } })] } },
    { body: { result: hostname({ status: "active", ssl }) } },
  );
  expect(await hostnames.ensure("*.example.com")).toMatchObject({
    detail:
      "Cloudflare's certificate is pending_validation; set TXT _acme-challenge.example.com to abc",
  });
  expect(asked[1]).toBe(`PATCH ${BASE}/id1 {"ssl":{"type":"dv","method":"txt","wildcard":true}}`);
});

test("what Cloudflare says is wrong with it is told", async () => {
  const ssl = { status: "active", validation_errors: [{ message: "caa_error" }] };
  const errors = ["custom hostname does not CNAME to this zone."];
  const { hostnames } = client({
    body: { result: [hostname({ verification_errors: errors, ssl })] },
  });
  expect(await hostnames.ensure("example.com")).toMatchObject({
    detail:
      "Cloudflare's hostname is pending; custom hostname does not CNAME to this zone.; caa_error",
  });
});

test("one is deleted where it is there, and deleted twice is deleted", async () => {
  const gone = client(NONE);
  expect(await gone.hostnames.remove("example.com")).toMatchObject({ isDone: true });
  const there = client({ body: { result: [hostname()] } }, { body: { id: "id1" } });
  expect(await there.hostnames.remove("*.example.com")).toMatchObject({ isDone: true });
  expect(there.asked[1]).toBe(`DELETE ${BASE}/id1`);
  const raced = client({ body: { result: [hostname()] } }, { status: 404, body: { errors: [] } });
  expect(await raced.hostnames.remove("example.com")).toMatchObject({ isDone: true });
});

const TOO_MUCH = "x".repeat(300_000);

test.each<readonly [what: string, answer: Answer | Error, detail: string, retryS: number]>([
  ["no network", new Error(`Bearer ${TOKEN} got lost`), "could not be reached", 600],
  ["a limit", { status: 429, body: {} }, "has had too many requests", 600],
  ["a limit with a time", limited("120"), "has had too many requests", 120],
  ["a limit with no time worth it", limited("1"), "has had too many requests", 60],
  ["a limit with a day", limited("86400"), "has had too many requests", 3_600],
  [
    "a refusal that quotes the request",
    { status: 403, body: { errors: [{ code: 9109, message: `${TOKEN} may not` }] } },
    "answered 403 (error 9109)",
    600,
  ],
  ["a gateway's own page", { status: 502, body: "<html>" }, "answered 502", 600],
  ["a redirect", { status: 302, body: "" }, "answered 302", 600],
  ["no JSON", { body: "{" }, "answered in no form that is known", 600],
  [
    "another form",
    { body: { result: [{ id: "../x" }] } },
    "answered in no form that is known",
    600,
  ],
  ["too much", { body: TOO_MUCH }, "answered with too much", 600],
])(
  "%s is asked about once, told without the token, and later again",
  async (_, answer, detail, retryS) => {
    for (const work of ["ensure", "remove"] as const) {
      const { hostnames, asked } = client(answer);
      expect(await hostnames[work]("example.com")).toEqual({
        detail: `Cloudflare ${detail}`,
        retryMs: retryS * 1_000,
        isDone: false,
      });
      expect(asked).toHaveLength(1);
    }
  },
);

function limited(seconds: string): Answer {
  return { status: 429, headers: { "retry-after": seconds }, body: {} };
}
