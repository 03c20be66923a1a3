/** Documents against what they describe: whoever changes a key or a flag is told which page to mend. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

import { GATEWAY_OPTIONS } from "../../cli/gateway/settings.ts";
import type { Options } from "../../cli/arguments.ts";
import { formatProblems, parseConfig } from "../../origin-gpu/config/config.ts";
import { APP_KEYS, ENDPOINT_KEYS, KIND_KEYS, type KeyTable } from "../../origin-gpu/config/keys.ts";
import { fencedBlocks, tableRows } from "../support/markdown.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGES = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" }).map(
    (name) => `docs/${name}`,
  ),
].filter((page) => page.endsWith(".md"));

const readPage = (page: string): string => readFileSync(join(ROOT, page), "utf8");

/** A file or folder from the repository's root. */
const REPOSITORY_PATH =
  /^(?:base|routing|auth|gateway|origin-gpu|cli|tools|test|docs|\.ci|\.github)\/[\w./-]*$/;

/** What stands in backticks. */
const codeIn = (cell: string): string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);

test.each(["docs/security.md", "docs/limits.md"])(
  "%s names tests that there are, by their titles",
  (page) => {
    const rows = readPage(page).matchAll(/\| `(test\/[^`]+)`: (.+?) +\|$/gm);
    const named = [...rows].map(([, file = "", title = ""]) => ({ file, title }));
    expect(named.length).toBeGreaterThan(18);
    const missing = named.filter(({ file, title }) => !readPage(file).includes(title));
    expect(missing).toEqual([]);
  },
);

const EXAMPLES = "origin-gpu/examples";
/** Of apps with pages, for which a browser can't send a proxy token. */
test.each([
  "README.md",
  `${EXAMPLES}/comfyui/postern.toml`,
  `${EXAMPLES}/gradio/postern.toml`,
  `${EXAMPLES}/fastapi/README.md`,
])("%s names the ways into a locked page", (page) => {
  const text = readPage(page);
  expect(text).toContain("requires_proxy_auth");
  expect(text).toContain("postern connect-token create");
  expect(text).toContain("oidc = ");
});

describe("docs/configuration.md", () => {
  const [described = ""] = readPage("docs/configuration.md").split("\n## Variables");
  const keys: KeyTable = { ...APP_KEYS, ...ENDPOINT_KEYS };
  const rowsOf = (text: string) =>
    tableRows(text).flatMap(([names = "", value = ""]) =>
      codeIn(names).map((key) => ({ key, value })),
    );

  test("describes every key, once, and no other", () => {
    const names = rowsOf(described).map(({ key }) => key);
    expect(names.toSorted()).toEqual(Object.keys(keys).toSorted());
  });

  test("names the defaults that an endpoint without settings has", () => {
    const checked = rowsOf(described).flatMap(({ key, value }) => {
      const [shown] = codeIn(value);
      if (shown === undefined || !Object.hasOwn(ENDPOINT_KEYS, key)) return [];
      if (Object.hasOwn(ENDPOINT_KEYS, shown)) {
        const endpoint: Readonly<Record<string, unknown>> = { ...endpointOf('asgi = "m:a"') };
        expect(endpoint[fieldOf(key)], key).toEqual(endpoint[fieldOf(shown)]);
        return [key];
      }
      const written = /^[A-Za-z]\w*$/.test(shown) && !isBoolean(shown) ? `"${shown}"` : shown;
      for (const kind of ['asgi = "m:a"', 'web_server = ["x"]']) {
        const plain = `${kind}\nhealth_path = "/"`;
        const endpoint = endpointOf(`${plain}\n${key} = ${written}`);
        if (endpoint === undefined) continue;
        expect(endpoint, key).toEqual(endpointOf(plain));
        return [key];
      }
      return [];
    });
    const some = ["max_inputs", "target_inputs", "timeout", "stop_signal", "stop_command", "gpus"];
    expect(checked).toEqual(expect.arrayContaining(some));
  });

  test("shows what is said of mistakes, word for word", () => {
    const shown = fencedBlocks(described).find(({ language }) => language === "text")?.content;
    const mistakes = 'max_inputs = "8"\nhealthpath = "/"\nport = 8000\n';
    const right = 'app = "a"\n\n[[endpoint]]\nfunction = "synthesize"\nasgi = "m:a"\n\n';
    const result = parseConfig(right + mistakes, "postern.toml");
    expect(result.ok ? "" : formatProblems(result.problems)).toBe(shown);
  });

  test("tells every kind of endpoint from the keys around it", () => {
    const kinds = described.split("### Kinds")[1]?.split("\n### ")[0] ?? "";
    expect(rowsOf(kinds).map(({ key }) => key)).toEqual(KIND_KEYS);
  });

  function endpointOf(lines: string) {
    const result = parseConfig(`app = "a"\n[[endpoint]]\nfunction = "f"\n${lines}\n`, "x.toml");
    return result.ok ? result.config.endpoints[0] : undefined;
  }

  const fieldOf = (key: string) =>
    key.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

  const isBoolean = (shown: string) => shown === "true" || shown === "false";
});

describe("docs/self-hosting.md", () => {
  const text = readPage("docs/self-hosting.md");
  const flags = tableRows(text).flatMap(([first = ""]) => /^`--([a-z-]+)/.exec(first)?.[1] ?? []);

  test("describes every flag of the gateway that is there, once, and no other", () => {
    const options: Options = GATEWAY_OPTIONS;
    const known = Object.keys(options).filter((flag) => options[flag]?.notYet !== true);
    expect(flags.toSorted()).toEqual(known.toSorted());
  });
});

describe.each(PAGES)("%s", (page) => {
  const text = readPage(page);

  test("has no link that leads nowhere", () => {
    const prose = text.replaceAll(/^```[^]*?^```$/gm, "");
    const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
    const broken = targets.filter((target) => !/^https?:/.test(target) && !leadsSomewhere(target));
    expect(broken).toEqual([]);
  });

  test("names no file of this repository that is not there", () => {
    const named = codeIn(text).filter((code) => REPOSITORY_PATH.test(code));
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test("shows no postern.toml that would be refused", () => {
    for (const { language, content, line } of fencedBlocks(text)) {
      if (language !== "toml" || !content.includes("[[endpoint]]")) continue;
      // An excerpt may leave out what stands above the endpoints.
      const whole = /^app = /m.test(content) ? content : `app = "a"\n${content}`;
      expect(parseConfig(whole, page), `${page}:${line}`).toMatchObject({ ok: true });
    }
  });

  function leadsSomewhere(target: string): boolean {
    const [path = "", fragment] = target.split("#");
    const file = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(ROOT, file))) return false;
    return fragment === undefined || anchorsOf(readPage(file)).has(fragment);
  }
});

/** As GitHub makes them from headings. */
function anchorsOf(markdown: string): ReadonlySet<string> {
  return new Set(
    [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}
