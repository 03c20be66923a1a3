/**
 * A box is a tenant: whatever its agent says, its clients get a response of HTTP, other boxes are served, and the
 * gateway throws nothing. corpus.json has what was found or thought of; the rest is drawn at random.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isBodiless } from "../../../gateway/contracts/attempt.ts";
import { ERRORS, isErrorCode } from "../../../routing/wire/errors.ts";
import { FRAME } from "../../../routing/wire/frames.ts";
import { announcement, ask, connectAgent, type FakeAgent } from "../fake-agent.ts";
import corpus from "./corpus.json" with { type: "json" };
import { EvilAgent, type EvilFrame } from "./evil-agent.ts";

/** Raise it on a machine of your own: 5,000 take three minutes. */
const RUNS = 200;

let evil: EvilAgent;
let honest: FakeAgent;

beforeAll(async () => {
  evil = new EvilAgent("evil-box");
  await evil.connect();
  honest = await connectAgent("honest-box", {
    endpoints: [announcement("honest", "f")],
    open: (stream) => {
      stream.sendHead('{"status":200,"headers":[]}', [new TextEncoder().encode("honest")], true);
      return {};
    },
  });
});
afterAll(() => {
  evil.leave();
  honest.close();
});

/** What a client gets: a response that comes to its end, one that breaks off, or the gateway's own error. */
type Outcome = "complete" | "broken" | "refused";

/** Sends a request to the evil box, which answers by this script, and checks what its client gets. */
async function checkScript(script: readonly EvilFrame[], method = "POST"): Promise<Outcome> {
  await evil.isUp();
  evil.script = script;
  const response = await ask("local--evil-evil-box", "/", {
    method,
    redirect: "manual",
    // A call that may have begun is repeated where its method is safe, for some seconds.
    ...(method === "POST" && { body: "hello" }),
  });
  return await checkResponse(response, script);
}

/**
 * Fetches a part of a durable call's response from its result URL. The evil box answers the first attachment by
 * this script.
 */
async function checkAttachScript(script: readonly EvilFrame[], range: string): Promise<void> {
  await evil.isUp();
  const call = { callId: crypto.randomUUID(), status: "running", position: 0, elapsedMs: 0 };
  evil.script = [{ type: FRAME.DEFERRED, text: JSON.stringify(call) }];
  const headers = { prefer: "respond-async" };
  const deferred = await ask("local--evil-evil-box", "/", { method: "POST", headers, body: "" });
  expect(deferred.status).toBe(202);
  const { pathname, search } = new URL((await deferred.json<{ result_url: string }>()).result_url);
  evil.attachScript = script;
  const response = await ask("local--evil-evil-box", `${pathname}${search}`, {
    redirect: "manual",
    headers: { range, prefer: "wait=1" },
  });
  await checkResponse(response, script);
}

/** The other box is served. Asked often, its link does not fall silent. */
async function checkHonest(): Promise<void> {
  expect(await (await ask("local--honest-f")).text()).toBe("honest");
}

async function checkResponse(response: Response, script: readonly EvilFrame[]): Promise<Outcome> {
  let outcome: Outcome = "refused";
  if (response.status >= 500 && response.status !== saidStatus(script)) {
    const { code } = await response.json<{ code: unknown }>();
    expect(isErrorCode(code)).toBe(true);
    if (isErrorCode(code)) expect(response.status).toBe(ERRORS[code].status);
    // Our own fault is none that a box can provoke. It may say the word itself.
    const isSaid = script.some(({ text }) => text?.includes("internal_error"));
    if (!isSaid) expect(code).not.toBe("internal_error");
  } else {
    expect(response.status).toBeGreaterThanOrEqual(200);
    const bytes = await drain(response);
    outcome = bytes === undefined ? "broken" : "complete";
    const declared = response.headers.get("content-length");
    // A client takes it for complete: it has the length that it declares.
    if (bytes !== undefined && declared !== null && !(isBodiless(response.status) && bytes === 0)) {
      expect(bytes).toBe(Number(declared));
    }
  }
  for (const [name, value] of response.headers) {
    expect(name).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/);
    expect(value).not.toMatch(/[\r\n\0]/);
  }
  return outcome;
}

/**
 * Reads a body piece by piece: the length that it declares must not be believed, not even by a test.
 * @returns its bytes; undefined for one that breaks off, which is the agent's fault, and the client sees it
 */
async function drain({ body }: Response): Promise<number | undefined> {
  if (body === null) return 0;
  let bytes = 0;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return bytes;
      bytes += value.length;
    }
  } catch {
    return undefined;
  }
}

/** The status of the first head, where that is one. */
function saidStatus(script: readonly EvilFrame[]): number | undefined {
  const head = script.find(({ type }) => type === FRAME.HEAD)?.head ?? "{}";
  try {
    const { status } = JSON.parse(head) as { status?: unknown };
    return typeof status === "number" ? status : undefined;
  } catch {
    return undefined;
  }
}

const status = fc.oneof(
  fc.constantFrom(101, 200, 204, 205, 206, 301, 304, 404, 500, 503, 599),
  fc.constantFrom(-1, 0, 99, 100, 102, 199, 600, 999, 1e9, 200.5, "200", null),
);
const name = fc.oneof(
  fc.constantFrom("content-length", "transfer-encoding", "content-encoding", "set-cookie"),
  fc.constantFrom("location", "content-type", "postern-call-id", "x-request-id", "vary", "upgrade"),
  fc.constantFrom("", " ", "a b", "A", "é", "a\r\nb", "a:", "__proto__", "\u0000"),
  fc.string({ maxLength: 10 }),
);
const value = fc.oneof(
  fc.constantFrom("", "0", "5", "-1", "1e9", "999999999999999", "5, 5", "gzip", "chunked"),
  fc.constantFrom(
    "a\r\nset-cookie: b",
    "\u0000",
    "é日本🚪",
    "\ud800",
    "\u007f",
    "\t",
    "x".repeat(70_000),
  ),
  fc.string({ maxLength: 20 }),
);
const responseHead = fc.record(
  {
    status,
    headers: fc.oneof(
      {
        weight: 8,
        arbitrary: fc.array(fc.tuple(name, value), { maxLength: 4 }).map((lines) => lines.flat()),
      },
      { weight: 1, arbitrary: fc.jsonValue() },
    ),
    length: fc.oneof(fc.constantFrom(0, 5, -1, 1e20, "5"), fc.jsonValue()),
    timing: fc.oneof(fc.constant({ queue: 0, start: 0, app: 1 }), fc.jsonValue()),
  },
  { requiredKeys: ["status", "headers"] },
);
/** A head in order, but for the length of the body behind it. */
const lengthHead = fc
  .constantFrom("0", "5", "100", "65536")
  .map((length) => ({ status: 200, headers: ["content-length", length] }));
const jsonText = fc.oneof(
  { weight: 6, arbitrary: responseHead.map((head) => JSON.stringify(head)) },
  { weight: 2, arbitrary: lengthHead.map((head) => JSON.stringify(head)) },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string() },
);
const failure = fc.record(
  {
    code: fc.oneof(
      fc.constantFrom(...Object.keys(ERRORS)),
      fc.constantFrom("constructor", "", 5, null),
    ),
    detail: fc.oneof(fc.string(), fc.constantFrom("a\r\nb", "x".repeat(100_000), 5)),
    retryAfter: fc.oneof(fc.constantFrom(0, 1.5, 1e300, -1, "1"), fc.jsonValue()),
    knownSinceMs: fc.constantFrom(0, 1e300, -1, "5"),
  },
  { requiredKeys: [] },
);
const deferred = fc.record(
  {
    callId: fc.oneof(
      fc.uuid(),
      fc.constantFrom("", "a/b", "../x", "x".repeat(1_000)),
      fc.jsonValue(),
    ),
    status: fc.constantFrom("pending", "running", "success", 5),
    position: fc.constantFrom(0, -1, 1e300, "0"),
    elapsedMs: fc.constantFrom(0, 1e300, -1),
  },
  { requiredKeys: [] },
);
const evilFrame: fc.Arbitrary<EvilFrame> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant(FRAME.HEAD as number),
      head: jsonText,
      bytes: fc.constantFrom(0, 5, 100),
      end: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant(FRAME.DATA as number),
      bytes: fc.constantFrom(0, 1, 5, 65_536, 65_537, 200_000),
      end: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constantFrom<number>(FRAME.REFUSE, FRAME.RESET),
      text: fc.oneof(
        failure.map((each) => JSON.stringify(each)),
        fc.json(),
        fc.string(),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant(FRAME.DEFERRED as number),
      text: fc.oneof(
        deferred.map((each) => JSON.stringify(each)),
        fc.json(),
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.integer({ min: 0, max: 127 }),
      stream: fc.constantFrom(0, 1, 0xffffffff),
      text: fc.oneof(fc.constantFrom("", "{}", "\u0000"), fc.string()),
      end: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant(FRAME.CREDIT as number),
      text: fc.string({ maxLength: 5 }),
    }),
  },
);

const tooLarge = JSON.stringify({ status: 200, headers: ["a", "x".repeat(70_000)] });
const large = {
  what: "headers of 70 kB",
  script: [{ type: FRAME.HEAD, head: tooLarge, end: true }],
};

interface CorpusEntry {
  readonly what: string;
  /** No client may take what it gets for a complete response. */
  readonly isBroken?: boolean;
  readonly script: readonly EvilFrame[];
}

describe("an evil agent", () => {
  test.each<CorpusEntry>([...(corpus as CorpusEntry[]), large])(
    "$what",
    async ({ script, isBroken = false }) => {
      const outcome = await checkScript(script);
      if (isBroken) expect(outcome).not.toBe("complete");
      await checkHonest();
    },
  );

  test.each([
    ["below the part that is asked for", { headers: ["content-length", "5"] }],
    ["of nothing", { headers: ["content-length", "0"], length: 0 }],
    ["below that of the stored response", { headers: ["content-length", "5"], length: 1_000 }],
    ["above that of the stored response", { headers: ["content-length", "1000"], length: 12 }],
    ["of a petabyte", { headers: ["content-length", "999999999999999"], length: 999999999999999 }],
  ])("that gives a part of a response with a length %s", async (_, { headers, ...more }) => {
    const head = JSON.stringify({ status: 200, headers, ...more });
    for (const bytes of [0, 5]) {
      await checkAttachScript(
        [
          { type: FRAME.HEAD, head, bytes },
          { type: FRAME.DATA, bytes: 3, end: true },
        ],
        "bytes=10-",
      );
      await checkAttachScript([{ type: FRAME.HEAD, head, bytes, end: true }], "bytes=10-11");
    }
    await checkHonest();
  });

  test("that says anything at all of a stored response", { timeout: 60_000 }, async () => {
    const scripts = fc.array(evilFrame, { minLength: 1, maxLength: 3 });
    const ranges = fc.constantFrom("bytes=0-", "bytes=1-3", "bytes=7-", "bytes=999999999999999-");
    await fc.assert(
      fc.asyncProperty(scripts, ranges, async (script, range) => {
        await checkAttachScript(script, range);
        await checkHonest();
      }),
      { numRuns: RUNS / 2 },
    );
  });

  test("that says anything at all", { timeout: 60_000 }, async () => {
    const scripts = fc.array(evilFrame, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(scripts, async (script) => {
        await checkScript(script);
        await checkHonest();
      }),
      { numRuns: RUNS },
    );
  });
});
