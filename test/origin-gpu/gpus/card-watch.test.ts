/** The watch over a nvidia-smi whose answers the test writes, in the forms of real drivers. */
import { afterEach, expect, test } from "vitest";
import { type ObservedEvent, Observer } from "../../../base/observer.ts";
import { MIB } from "../../../base/units.ts";
import { type Card, isLost } from "../../../origin-gpu/core/cards.ts";
import { CardWatch } from "../../../origin-gpu/gpus/card-watch.ts";
import type { ProgramFailure, ProgramOutput } from "../../../origin-gpu/gpus/run-program.ts";
import { ManualTimers } from "../apps/manual-timers.ts";

type Answer = ProgramOutput | ProgramFailure;

const BUS_IDS = ["00000000:3B:00.0", "00000000:5E:00.0"];

interface Row {
  readonly uuid: string;
  readonly memory: string;
  readonly errors: string;
  readonly mig: string;
  readonly action: string;
}

const WELL: readonly Row[] = ["GPU-aaaa", "GPU-bbbb"].map((uuid) => ({
  uuid,
  memory: "81559",
  errors: "0",
  mig: "Disabled",
  action: "None",
}));

const [FIRST, SECOND] = WELL as readonly [Row, Row];

function output(stdout: string, exitCode = 0, stderr = ""): ProgramOutput {
  return { exitCode, stdout, stderr };
}

class Driver {
  rows: readonly Row[] = WELL;
  /** Instead of the rows. */
  failure: Answer | undefined;
  /** Cards that fail where they are asked for by themselves. */
  readonly lost = new Set<string>();
  /** Fields that this driver does not know. */
  unknown: readonly string[] = [];
  dmesg: Answer = output("", 1, "dmesg: read kernel buffer failed: Operation not permitted");
  asked = 0;

  readonly run = async (program: string, args: readonly string[]): Promise<Answer> => {
    if (program === "dmesg") return this.dmesg;
    this.asked += 1;
    const fields =
      args
        .find((arg) => arg.startsWith("--query-gpu="))
        ?.slice(12)
        .split(",") ?? [];
    const unknown = fields.find((field) => this.unknown.includes(field));
    if (unknown !== undefined) {
      return output(`Field "${unknown}" is not a valid field to query.\n`, 2);
    }
    const id = args.find((arg) => arg.startsWith("--id="))?.slice(5);
    const rows = id === undefined ? this.rows : this.rows.filter(({ uuid }) => uuid === id);
    if (id === undefined && this.failure !== undefined) return this.failure;
    if (id !== undefined && (rows.length === 0 || this.lost.has(id))) return LOST;
    return output(rows.map((row) => `${this.#line(row, fields)}\n`).join(""));
  };

  #line(row: Row, fields: readonly string[]): string {
    const index = WELL.findIndex(({ uuid }) => uuid === row.uuid);
    const values: Record<string, string> = {
      index: String(index),
      uuid: row.uuid,
      name: "NVIDIA H100 80GB HBM3",
      "memory.total": row.memory,
      "pci.bus_id": BUS_IDS[index] ?? "",
      "ecc.errors.uncorrected.volatile.total": row.errors,
      "mig.mode.current": row.mig,
      gpu_recovery_action: row.action,
    };
    return fields.map((field) => values[field]).join(", ");
  }
}

const LOST = output(
  "Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.  Reboot the system to recover this GPU\n",
  15,
);

interface Watched {
  readonly driver: Driver;
  readonly lists: (readonly string[])[];
  readonly cards: Card[][];
  /** The problems of those that are out, as told last. */
  readonly lost: readonly string[];
  readonly lines: string[];
  readonly events: ObservedEvent[];
  look(): Promise<void>;
}

const watches: CardWatch[] = [];
afterEach(() => {
  for (const watch of watches.splice(0)) watch.close();
});

async function watched(
  driver = new Driver(),
  variables: Record<string, string> = {},
): Promise<Watched> {
  const timers = new ManualTimers();
  const cards: Card[][] = [];
  let lost: string[] = [];
  const lines: string[] = [];
  const events: ObservedEvent[] = [];
  const sink = (event: ObservedEvent) => {
    if (event.name === "notice") lines.push(String(event.fields["text"]));
    else events.push(event);
  };
  const begun = CardWatch.begin({
    observer: new Observer({ sinks: [sink], now: () => 0 }),
    onCards: (list) => {
      cards.push(list.filter((card) => !isLost(card)));
      lost = list.filter(isLost).map(({ problem }) => problem);
    },
    variables,
    run: driver.run,
    timer: timers.later,
    uptimeS: () => 10_000,
  });
  if (!begun.ok) throw new Error(begun.error);
  const watch = begun.value;
  watches.push(watch);
  await watch.known;
  return {
    driver,
    cards,
    lines,
    events,
    get lost() {
      return lost;
    },
    get lists() {
      return cards.map((list) => list.map(({ id }) => id));
    },
    look: async () => {
      const before = driver.asked;
      timers.fire();
      await expect.poll(() => driver.asked > before && timers.delays.length > 0).toBe(true);
    },
  };
}

test("finds the cards, with their memory, and says so", async () => {
  const { cards, lines } = await watched();
  expect(cards).toEqual([
    WELL.map(({ uuid }) => ({
      id: uuid,
      name: "NVIDIA H100 80GB HBM3",
      memoryBytes: 81_559 * MIB,
    })),
  ]);
  expect(lines).toEqual(["postern: GPUs: 2 × NVIDIA H100 80GB HBM3 (79.6 GiB)"]);
});

test("a box without nvidia-smi has no cards, and is not asked again", async () => {
  const driver = new Driver();
  driver.failure = "absent";
  const { lists, lines } = await watched(driver);
  expect([lists, lines, driver.asked]).toEqual([[[]], [], 1]);
});

test("a nvidia-smi that is gone for a while leaves the cards as they were, and is asked again", async () => {
  const seen = await watched();
  seen.driver.failure = "absent";
  await seen.look();
  expect(seen.lists).toEqual([["GPU-aaaa", "GPU-bbbb"]]);
  expect(seen.lines.at(-1)).toContain("stay as they were: there is no nvidia-smi");
  seen.driver.failure = undefined;
  seen.driver.rows = [FIRST];
  await seen.look();
  expect(seen.lists.at(-1)).toEqual(["GPU-aaaa"]);
  expect(seen.lost).toEqual(["nvidia-smi does not find it any more"]);
});

test("a box without cards has none, and one that comes later is found", async () => {
  const driver = new Driver();
  driver.failure = output("No devices were found\n", 6);
  const seen = await watched(driver);
  expect([seen.lists, seen.lines]).toEqual([[[]], []]);
  driver.failure = undefined;
  await seen.look();
  expect(seen.lists).toEqual([[], ["GPU-aaaa", "GPU-bbbb"]]);
});

test("an older driver is asked for the fields that it knows", async () => {
  const driver = new Driver();
  driver.unknown = ["gpu_recovery_action", "mig.mode.current"];
  const { lists } = await watched(driver);
  expect(lists).toEqual([["GPU-aaaa", "GPU-bbbb"]]);
});

test("where one card is lost and all fail, each is asked for by itself", async () => {
  const seen = await watched();
  seen.driver.failure = LOST;
  seen.driver.lost.add("GPU-aaaa");
  await seen.look();
  expect(seen.lists.at(-1)).toEqual(["GPU-bbbb"]);
  expect(seen.lines.at(-1)).toBe(
    "postern: GPU GPU-aaaa (NVIDIA H100 80GB HBM3) is taken out: nvidia-smi does not find it any more",
  );
  expect(seen.events.at(-1)).toMatchObject({
    name: "gpu.state",
    fields: { gpu: "GPU-aaaa", from: "working", to: "out" },
  });
  seen.driver.failure = undefined;
  seen.driver.lost.clear();
  await seen.look();
  expect(seen.lists.at(-1)).toEqual(["GPU-aaaa", "GPU-bbbb"]);
  expect(seen.lines.at(-1)).toContain("works again");
});

test.each<[string, Partial<Row>, string]>([
  ["[GPU is lost]", { memory: "[GPU is lost]" }, 'nvidia-smi says "GPU is lost"'],
  ["an unknown error", { memory: "[Unknown Error]" }, 'nvidia-smi says "Unknown Error"'],
  ["a recovery action", { action: "Reset" }, 'its driver asks for "Reset"'],
  ["new memory errors", { errors: "2" }, "2 memory errors could not be corrected"],
  ["MIG", { mig: "Enabled" }, "it is divided by MIG; POSTERN_GPUS declares its parts"],
])("a card with %s is taken out once, and comes back", async (_, change, reason) => {
  const seen = await watched();
  seen.driver.rows = [{ ...FIRST, ...change }, SECOND];
  await seen.look();
  await seen.look();
  expect(seen.lists).toEqual([["GPU-aaaa", "GPU-bbbb"], ["GPU-bbbb"]]);
  expect(seen.lines.at(-1)).toContain(`is taken out: ${reason}`);
  seen.driver.rows = WELL;
  await seen.look();
  expect(seen.lists.at(-1)).toEqual(["GPU-aaaa", "GPU-bbbb"]);
  expect(seen.cards.at(-1)?.[0]?.memoryBytes).toBe(81_559 * MIB);
});

test("memory errors from before the agent's start do not count, and a reset forgets those after it", async () => {
  const driver = new Driver();
  driver.rows = [{ ...FIRST, errors: "5" }, SECOND];
  const seen = await watched(driver);
  expect(seen.lists).toEqual([["GPU-aaaa", "GPU-bbbb"]]);
  driver.rows = [{ ...FIRST, errors: "6" }, SECOND];
  await seen.look();
  expect(seen.lists.at(-1)).toEqual(["GPU-bbbb"]);
  driver.rows = WELL;
  await seen.look();
  expect(seen.lists.at(-1)).toEqual(["GPU-aaaa", "GPU-bbbb"]);
});

test("[N/A] is no number: neither errors nor memory", async () => {
  const driver = new Driver();
  driver.rows = [{ ...FIRST, errors: "[N/A]", memory: "[N/A]" }];
  const { cards } = await watched(driver);
  expect(cards[0]?.[0]?.memoryBytes).toBe(0);
});

test("a fatal Xid takes its card out for ten minutes, an app's own Xid does not", async () => {
  const driver = new Driver();
  driver.dmesg = output(
    [
      "[ 9000.000001] NVRM: Xid (PCI:0000:5e:00): 79, pid=1, GPU has fallen off the bus.",
      "[ 9900.000001] NVRM: Xid (PCI:0000:5e:00): 31, pid=7, name=python, Ch 00000008, MMU Fault",
    ].join("\n"),
  );
  const seen = await watched(driver);
  expect(seen.lists).toEqual([["GPU-aaaa", "GPU-bbbb"]]);
  driver.dmesg = output(
    "[ 9500.123456] NVRM: Xid (PCI:0000:5e:00): 95, pid='<unknown>', name=<unknown>, Uncontained\n",
  );
  await seen.look();
  expect(seen.lists.at(-1)).toEqual(["GPU-aaaa"]);
  expect(seen.lines.at(-1)).toContain("Xid 95: a memory error that could not be contained");
});

test("a look that tells nothing changes nothing, and is said once", async () => {
  const seen = await watched();
  seen.driver.failure = "late";
  await seen.look();
  await seen.look();
  expect(seen.lists).toEqual([["GPU-aaaa", "GPU-bbbb"]]);
  expect(seen.lines.slice(1)).toEqual([
    "postern: nvidia-smi tells nothing of the box's GPUs, which stay as they were: it did not answer in time",
  ]);
});

test("the agent's own CUDA_VISIBLE_DEVICES says which cards it may give away", async () => {
  const lists = await Promise.all(
    ["1", "GPU-a", "0,1", ""].map(
      async (text) => (await watched(new Driver(), { CUDA_VISIBLE_DEVICES: text })).lists,
    ),
  );
  expect(lists).toEqual([[["GPU-bbbb"]], [["GPU-aaaa"]], [["GPU-aaaa", "GPU-bbbb"]], [[]]]);
});

test("declared cards are taken as they are, and nvidia-smi is not asked", async () => {
  const driver = new Driver();
  const { lists } = await watched(driver, { POSTERN_GPUS: "H100:80GiB,L4" });
  expect([lists, driver.asked]).toEqual([[["0", "1"]], 0]);
});

test("a wrong POSTERN_GPUS is refused", () => {
  const begun = CardWatch.begin({
    observer: new Observer({ sinks: [], now: () => 0 }),
    onCards: () => undefined,
    variables: { POSTERN_GPUS: "H100:80GB" },
  });
  expect(begun.ok).toBe(false);
});
