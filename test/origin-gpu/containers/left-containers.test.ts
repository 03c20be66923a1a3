/** Which containers of the last agent a pool takes, and which are ended. */
import { describe, expect, test } from "vitest";
import type { LeftContainer } from "../../../origin-gpu/containers/left-container.ts";
import { LeftContainers } from "../../../origin-gpu/containers/left-containers.ts";
import type { LeftRecord } from "../../../origin-gpu/containers/left-record.ts";
import {
  changedVariable,
  newSealKey,
  sealVariables,
} from "../../../origin-gpu/containers/left-variables.ts";

const KEY = newSealKey();
const VARIABLES = { PATH: "/bin", HF_TOKEN: "hf-secret", POSTERN_APP: "shop" };

function changed(now: Record<string, string>): string | undefined {
  return changedVariable(sealVariables(VARIABLES, KEY), now, KEY);
}

describe("the variables of a container", () => {
  test("are compared by name and value, and the first difference has a name", () => {
    expect(changed(VARIABLES)).toBeUndefined();
    expect(changed({ ...VARIABLES, HF_TOKEN: "hf-other" })).toBe("HF_TOKEN");
    expect(changed({ PATH: "/bin", POSTERN_APP: "shop" })).toBe("HF_TOKEN");
    expect(changed({ ...VARIABLES, MORE: "" })).toBe("MORE");
    expect(changed({ ...VARIABLES, POSTERN_APP: "other" })).toBe("POSTERN_APP");
  });

  test("may be more where a newer Postern gives some that an older one did not", () => {
    expect(changed({ ...VARIABLES, POSTERN_NEW: "1" })).toBeUndefined();
  });

  test("do not count where each start of an agent has others, or each container", () => {
    const own = { PORT: "20001", POSTERN_CONTAINER_ID: "ct-1", CUDA_VISIBLE_DEVICES: "0" };
    const ofOneStart = {
      INVOCATION_ID: "1",
      npm_config_cache: "/c",
      SSH_TTY: "/dev/pts/1",
      _: "x",
    };
    expect(changed({ ...VARIABLES, ...own, ...ofOneStart })).toBeUndefined();
  });

  test("are not told by their seals, which need the supervisor's key", () => {
    const sealed = sealVariables(VARIABLES, KEY);
    expect(JSON.stringify(sealed)).not.toContain("secret");
    expect(sealVariables(VARIABLES, newSealKey())["HF_TOKEN"]).not.toBe(sealed["HF_TOKEN"]);
  });
});

class Left {
  readonly notices: string[] = [];
  readonly ended: string[] = [];
  readonly gone = new Map<string, () => void>();

  container(id: string, record: Partial<LeftRecord> = {}): LeftContainer {
    const gone = Promise.withResolvers<void>();
    this.gone.set(id, gone.resolve);
    return {
      id,
      source: "shop v1 web",
      key: KEY,
      gone: gone.promise,
      record: { ...WANTED, variables: sealVariables(VARIABLES, KEY), ...record },
      end: () => this.ended.push(id),
    } as unknown as LeftContainer;
  }

  all(...containers: LeftContainer[]): LeftContainers {
    return new LeftContainers(containers, (text) => this.notices.push(text));
  }
}

const WANTED = {
  endpoint: "main/shop/web",
  version: 1,
  directory: "/code",
  user: "",
  variables: VARIABLES,
};

describe("containers that the last agent left running", () => {
  test("of a function with parameters are taken by the pool of their values", () => {
    const left = new Left();
    const own = { parameters: '{"model":"a"}' };
    const all = left.all(
      left.container("ct-1", own),
      left.container("ct-2", { parameters: '{"model":"b"}' }),
      left.container("ct-3", { ...own, version: 2 }),
      left.container("ct-4"),
    );
    expect(all.parametersOf(WANTED.endpoint, 1)).toEqual(['{"model":"a"}', '{"model":"b"}']);
    expect(all.take({ ...WANTED, ...own }).map(({ id }) => id)).toEqual(["ct-1"]);
    expect(all.take(WANTED).map(({ id }) => id)).toEqual(["ct-4"]);
    expect(left.ended).toEqual([]);
  });

  test("are taken once, by the pool of their endpoint and version", () => {
    const left = new Left();
    const all = left.all(left.container("ct-1"), left.container("ct-2", { version: 2 }));
    expect(all.take({ ...WANTED, endpoint: "main/shop/chat" })).toEqual([]);
    expect(all.take(WANTED).map(({ id }) => id)).toEqual(["ct-1"]);
    expect(all.take(WANTED)).toEqual([]);
    expect(all.all.map(({ id }) => id)).toEqual(["ct-2"]);
    expect(left.ended).toEqual([]);
  });

  test.each([
    ["its variable HF_TOKEN has changed", { variables: { ...VARIABLES, HF_TOKEN: "other" } }],
    ["its code is in another directory now", { directory: "/elsewhere" }],
    ["another user runs it now", { user: "apps" }],
  ])("are ended where the pool would start others, and the log says: %s", (reason, change) => {
    const left = new Left();
    const all = left.all(left.container("ct-1"));
    expect(all.take({ ...WANTED, ...change })).toEqual([]);
    expect(left.ended).toEqual(["ct-1"]);
    expect(left.notices).toEqual([
      `[shop v1 web] postern: ends ct-1, which the last agent left running: ${reason}`,
    ]);
  });

  test("are ended where their version is not to run here any more", () => {
    const left = new Left();
    const all = left.all(left.container("ct-1"), left.container("ct-2", { version: 2 }));
    all.retain((endpoint, version) => endpoint === "main/shop/web" && version === 2);
    expect(left.ended).toEqual(["ct-1"]);
    expect(all.take({ ...WANTED, version: 2 })).toHaveLength(1);
  });

  test("that have ended by themselves are taken by no pool", async () => {
    const left = new Left();
    const all = left.all(left.container("ct-1"));
    left.gone.get("ct-1")?.();
    await Promise.resolve();
    expect(all.take(WANTED)).toEqual([]);
    expect(left.notices).toEqual([]);
  });
});
