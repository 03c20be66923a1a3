/** The use of tokens in a meter's database: counted once, kept for a time, and bounded. */
import { env as bindings, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { meterStub } from "../../../../gateway/contracts/stubs.ts";
import { Ledger } from "../../../../gateway/objects/meter/ledger.ts";

const env = bindings as unknown as Env;
const DAY_MS = 86_400_000;
const DAY = 20_000;
const NOON = DAY * DAY_MS + DAY_MS / 2;

let meters = 0;

/** Runs with the ledger of a new workspace. */
async function withLedger(
  work: (ledger: Ledger, storage: DurableObjectStorage) => void,
  maxRowsADay?: number,
): Promise<void> {
  meters += 1;
  const stub = meterStub(env, `ledger-${meters}`);
  await runInDurableObject(stub, (_, { storage }) =>
    work(new Ledger(storage, maxRowsADay), storage),
  );
}

const AGENT = { box: "box", incarnation: "a".repeat(32) };

function note(batch: number, token: string, containerMs: number, endpoint = "main/app/web") {
  return { ...AGENT, batch, rows: [{ token, endpoint, requests: 1, containerMs }] };
}

function usageOf(storage: DurableObjectStorage) {
  const rows = storage.sql.exec(
    "SELECT day, token, endpoint, requests, container_ms FROM usage ORDER BY number",
  );
  return [...rows.raw()];
}

test("a batch counts once, however often it comes and whatever came after it", async () => {
  await withLedger((ledger, storage) => {
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    ledger.addUsage(note(2, "wk-a", 500), NOON);
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    expect(usageOf(storage)).toEqual([[DAY, "wk-a", "main/app/web", 2, 1_500]]);
    expect(ledger.usedOf("wk-a", DAY)).toEqual({ requests: 0, containerSeconds: 1.5 });
    // Another process of the agent counts its batches from 1 on.
    ledger.addUsage({ ...note(1, "wk-a", 250), incarnation: "b".repeat(32) }, NOON);
    ledger.addUsage({ ...note(1, "wk-a", 250), box: "other" }, NOON);
    expect(ledger.usedOf("wk-a", DAY).containerSeconds).toBe(2);
  });
});

test("a batch with a row that can't be written counts not at all, and comes again", async () => {
  await withLedger((ledger, storage) => {
    const { rows } = note(1, "wk-a", 1_000);
    const broken = { token: "wk-b", endpoint: "e", requests: 1, containerMs: null as never };
    expect(() => ledger.addUsage({ ...AGENT, batch: 1, rows: [...rows, broken] }, NOON)).toThrow();
    expect(usageOf(storage)).toEqual([]);
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    expect(usageOf(storage)).toHaveLength(1);
  });
});

test("each day and each endpoint has its row, and the budget of a day all of that day's", async () => {
  await withLedger((ledger, storage) => {
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    ledger.addUsage(note(2, "wk-a", 2_000, "main/app/other"), NOON);
    ledger.addUsage(note(3, "wk-b", 4_000), NOON);
    ledger.addUsage(note(4, "wk-a", 8_000), NOON + DAY_MS);
    expect(usageOf(storage)).toHaveLength(4);
    expect(ledger.usedOf("wk-a", DAY).containerSeconds).toBe(3);
    expect(ledger.usedOf("wk-a", DAY + 1).containerSeconds).toBe(8);
  });
});

test("rows are listed in pages, the newest first, of one token and from a day on", async () => {
  await withLedger((ledger) => {
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    ledger.addUsage(note(2, "wk-b", 2_000), NOON);
    ledger.addUsage(note(3, "wk-a", 3_000), NOON + DAY_MS);
    ledger.addUsage(note(4, "wk-b", 1_000), NOON);
    const first = ledger.list({ since: 0, limit: 2 });
    const web = { endpoint: "main/app/web", refused: 0 };
    expect(first.items).toEqual([
      { day: DAY + 1, token: "wk-a", ...web, requests: 1, containerMs: 3_000 },
      { day: DAY, token: "wk-b", ...web, requests: 2, containerMs: 3_000 },
    ]);
    const rest = ledger.list({ since: 0, limit: 2, cursor: first.nextCursor });
    expect(rest.items.map(({ token, day }) => [token, day])).toEqual([["wk-a", DAY]]);
    expect(rest.nextCursor).toBeUndefined();
    expect(ledger.list({ since: DAY + 1, limit: 9 }).items).toHaveLength(1);
    expect(ledger.list({ since: 0, limit: 9, token: "wk-a" }).items).toHaveLength(2);
  });
});

test("rows go after 90 days, and agents that are long gone too", async () => {
  await withLedger((ledger, storage) => {
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    ledger.addRequests("wk-a", 1, NOON);
    ledger.addRequests("wk-a", 1, NOON + 90 * DAY_MS);
    expect(usageOf(storage)).toHaveLength(1);
    expect(storage.sql.exec("SELECT * FROM reports").toArray()).toEqual([]);
    ledger.addRequests("wk-a", 1, NOON + 91 * DAY_MS);
    expect(usageOf(storage)).toEqual([]);
    expect(storage.sql.exec("SELECT day FROM admitted").toArray()).toHaveLength(2);
  });
});

test("a day has so many rows: then a token's further endpoints are one, and at last all tokens", async () => {
  await withLedger((ledger, storage) => {
    for (let batch = 1; batch <= 3; batch += 1) {
      ledger.addUsage(note(batch, "wk-a", 1_000, `main/app/${batch}`), NOON);
    }
    ledger.addUsage(note(4, "wk-a", 1_000, "main/app/4"), NOON);
    ledger.addUsage(note(5, "wk-b", 1_000), NOON);
    ledger.addUsage(note(6, "wk-c", 1_000), NOON);
    ledger.addUsage(note(7, "wk-d", 1_000), NOON);
    ledger.addUsage(note(8, "wk-e", 1_000), NOON);
    ledger.addUsage(note(9, "wk-a", 1_000, "main/app/1"), NOON);
    expect(usageOf(storage)).toEqual([
      [DAY, "wk-a", "main/app/1", 2, 2_000],
      [DAY, "wk-a", "main/app/2", 1, 1_000],
      [DAY, "wk-a", "*", 2, 2_000],
      [DAY, "wk-b", "*", 1, 1_000],
      [DAY, "*", "*", 3, 3_000],
    ]);
    // The budget of one that has rows is exact.
    expect(ledger.usedOf("wk-a", DAY).containerSeconds).toBe(5);
  }, 2);
});

test("a token has 10,000 rows in a day, and its next endpoint counts among others", async () => {
  await withLedger((ledger, storage) => {
    const rowOf = (number: number) => ({
      token: "wk-a",
      endpoint: `main/app/${number}`,
      requests: 1,
      containerMs: 1,
    });
    const rows = Array.from({ length: 10_001 }, (_, index) => rowOf(index + 1));
    ledger.addUsage({ ...AGENT, batch: 1, rows: rows.slice(0, 9_999) }, NOON);
    expect(usageOf(storage)).toHaveLength(9_999);
    ledger.addUsage({ ...AGENT, batch: 2, rows: rows.slice(9_999) }, NOON);
    const [last, others] = usageOf(storage).slice(9_999);
    expect(last).toEqual([DAY, "wk-a", "main/app/10000", 1, 1]);
    expect(others).toEqual([DAY, "wk-a", "*", 1, 1]);
  });
});

test("refusals stand in the row of their token, or in that of none, and spend no budget", async () => {
  await withLedger((ledger) => {
    const endpoint = "main/app/web";
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    ledger.addRefusals([{ token: "wk-a", endpoint, refused: 2 }], NOON);
    ledger.addRefusals(
      [
        { token: "wk-a", endpoint, refused: 3 },
        { token: "-", endpoint, refused: 7 },
      ],
      NOON,
    );
    const page = ledger.list({ since: 0, limit: 9 });
    expect(page.items).toEqual([
      { day: DAY, token: "-", endpoint, requests: 0, containerMs: 0, refused: 7 },
      { day: DAY, token: "wk-a", endpoint, requests: 1, containerMs: 1_000, refused: 5 },
    ]);
    expect(ledger.usedOf("wk-a", DAY)).toEqual({ requests: 0, containerSeconds: 1 });
  });
});

test("a database of the second version keeps its rows", async () => {
  await withLedger((ledger, storage) => {
    ledger.addUsage(note(1, "wk-a", 1_000), NOON);
    storage.sql.exec("ALTER TABLE usage DROP COLUMN refused");
    storage.sql.exec("DELETE FROM migrations WHERE version > 2");
    const [row] = new Ledger(storage).list({ since: 0, limit: 9 }).items;
    expect(row).toMatchObject({ token: "wk-a", requests: 1, refused: 0 });
  });
});

test("a database of the first version keeps its rows", async () => {
  await withLedger((_, storage) => {
    storage.sql.exec(
      "DROP TABLE usage; DROP TABLE reports; DELETE FROM migrations WHERE version > 1",
    );
    storage.sql.exec("INSERT INTO admitted (day, token, requests) VALUES (?, 'wk-a', 7)", DAY);
    expect(new Ledger(storage).usedOf("wk-a", DAY)).toEqual({ requests: 7, containerSeconds: 0 });
  });
});
