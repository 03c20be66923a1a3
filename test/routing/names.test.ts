import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseHost } from "../../routing/host.ts";
import {
  checkDevSuffix,
  checkLabel,
  type EndpointIdentity,
  endpointHost,
  endpointName,
  endpointUrl,
  isObjectName,
  labelOf,
  normalise,
  sourceOf,
  webSuffixOf,
} from "../../routing/names.ts";

interface Vectors {
  names: { why: string; identity: EndpointIdentity; name: string }[];
  refused: { why: string; identity: EndpointIdentity }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../routing/names-vectors.json", import.meta.url), "utf8"),
) as Vectors;

const objectName = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
const identifier = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/);
const identity: fc.Arbitrary<EndpointIdentity> = fc.record(
  {
    workspace: objectName,
    suffix: fc.oneof(fc.constant(""), objectName),
    app: objectName,
    function: identifier,
    class: identifier,
    label: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    devSuffix: fc.stringMatching(/^[A-Za-z0-9]{1,16}$/),
  },
  { requiredKeys: ["workspace", "suffix", "app", "function"] },
);

describe("an endpoint's name", () => {
  it.each(vectors.names)("$why: $name", async ({ identity, name }) => {
    expect(await endpointName(identity)).toEqual({ ok: true, value: name });
  });

  it.each(vectors.refused)("is refused with a reason: $why", async ({ identity }) => {
    const result = await endpointName(identity);
    expect(result.ok).toBe(false);
    expect(result).toHaveProperty("error", expect.stringMatching(/\w/));
  });

  it("is a DNS label of at most 63 characters that the gateway takes for an endpoint's", async () => {
    await fc.assert(
      fc.asyncProperty(identity, async (identity) => {
        const name = await endpointName(identity);
        if (!name.ok) return;
        expect(name.value).toMatch(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
        expect(parseHost(`${name.value}.example.com`, "example.com")).toMatchObject({
          value: { kind: "endpoint", name: name.value },
        });
      }),
      { numRuns: 2000 },
    );
  });

  it("differs where the normalised source or label differs, cut or not", async () => {
    const component = fc.stringMatching(/^[a-z0-9](-?[a-z0-9]){0,30}$/);
    const pair = fc.record({ source: component, label: component });
    const nameOf = async ({ source, label }: { source: string; label: string }) => {
      const name = await endpointName({
        workspace: source,
        suffix: "",
        app: "",
        function: "",
        label,
      });
      return name.ok ? name.value : fc.pre(false);
    };
    await fc.assert(
      fc.asyncProperty(pair, pair, async (first, second) => {
        const same = first.source === second.source && first.label === second.label;
        expect((await nameOf(first)) === (await nameOf(second))).toBe(same);
      }),
      { numRuns: 1000 },
    );
  });

  it("differs in its hash alone where two overlong names share their beginning", async () => {
    const long = { workspace: "w", suffix: "", app: "a".repeat(60), function: "one" };
    const [first, second] = await Promise.all([
      endpointName(long),
      endpointName({ ...long, function: "two" }),
    ]);
    if (!first.ok || !second.ok) throw new Error("both have names");
    expect(first.value.slice(0, 57)).toBe(second.value.slice(0, 57));
    expect(first.value).not.toBe(second.value);
  });

  it("keeps the dev suffix at its end, so that a deployed app's name is never a dev name's cut", async () => {
    await fc.assert(
      fc.asyncProperty(identity, async (identity) => {
        const name = await endpointName({ ...identity, devSuffix: "dev" });
        if (name.ok) expect(name.value.endsWith("-dev")).toBe(true);
      }),
    );
  });

  it("becomes host and URL with the base domain's port", async () => {
    const identity = { workspace: "ecorp", suffix: "", app: "demo", function: "chat" };
    expect(await endpointHost(identity, "localhost:8787")).toEqual({
      ok: true,
      value: "ecorp--demo-chat.localhost:8787",
    });
    expect(await endpointUrl(identity, "example.com", "https")).toEqual({
      ok: true,
      value: "https://ecorp--demo-chat.example.com",
    });
    expect(await endpointUrl({ ...identity, label: "A" }, "example.com", "https")).toMatchObject({
      ok: false,
    });
  });
});

describe("a component", () => {
  it("normalises to the same when normalised again", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const once = normalise(text);
        expect(once).toMatch(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$/);
        expect(normalise(once)).toBe(once);
      }),
    );
  });

  it("of a hundred thousand dashes is normalised in linear time", () => {
    expect(normalise(`${"-".repeat(100_000)}a`)).toBe("a");
  });

  it("makes source and label by itself", () => {
    expect(sourceOf("ECorp", "Prod_EU")).toEqual({ ok: true, value: "ecorp-prod-eu" });
    expect(labelOf("app", "method", "Class")).toEqual({ ok: true, value: "app-class-method" });
  });
});

describe("an environment's web suffix", () => {
  it("is empty for main and its normalised name for others", () => {
    expect(webSuffixOf("main")).toBe("");
    expect(webSuffixOf("Staging_2")).toBe("staging-2");
  });
});

describe("a user's label", () => {
  it("is refused with the character that is wrong, whole even outside the basic plane", () => {
    expect(checkLabel("speech_ify")).toMatchObject({ error: expect.stringContaining('"_"') });
    expect(checkLabel("a🚪b")).toMatchObject({ error: expect.stringContaining('"🚪"') });
  });

  it("of 63 characters is taken", () => {
    expect(checkLabel("l".repeat(63)).ok).toBe(true);
  });
});

describe("a dev suffix", () => {
  it("is refused when it would not be a part of a DNS label", () => {
    expect(checkDevSuffix("dev").ok).toBe(true);
    for (const suffix of ["", "a.b", "-", "é", "a".repeat(17)]) {
      expect(checkDevSuffix(suffix).ok, suffix).toBe(false);
    }
  });
});

describe("names of apps, environments and boxes", () => {
  it("are 1 to 64 of ASCII letters, digits, dash, dot and underscore", () => {
    for (const name of ["a", "A-b.c_9", "x".repeat(64)])
      expect(isObjectName(name), name).toBe(true);
    for (const name of ["", "x".repeat(65), "a b", "é", "a/b", "a\n"]) {
      expect(isObjectName(name), name).toBe(false);
    }
  });
});
