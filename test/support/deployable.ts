/**
 * An app to deploy: a directory with a postern.toml and a server of one file, which tells its version, its
 * box and what else a container is told. It prints where it listens.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TomlTable, stringify } from "smol-toml";

/** `broken`: prints two lines and dies. */
const SERVER = `import { createServer } from "node:http";
import { text } from "./text.mjs";

if (text === "broken") {
  console.error("loading the weights");
  console.error("no such weights: /models/none");
  process.exit(3);
}
const { POSTERN_BOX: box, POSTERN_VERSION: version, POSTERN_URLS: urls } = process.env;
let run = 0;
createServer((request, response) => {
  run += 1;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ text, box, version, run, urls: JSON.parse(urls) }));
}).listen(process.env.PORT, "127.0.0.1", () => console.log(text + " listens on " + box));
`;

/** What the server answers. */
export interface Told {
  readonly text: string;
  readonly box: string;
  readonly version: string;
  /** Counts the requests of its container. */
  readonly run: number;
  readonly urls: Record<string, string>;
}

/** Writes the app, or another edition of it: its `text` and its endpoints. */
export function writeDeployable(
  directory: string,
  app: string,
  text: string,
  endpoints: Readonly<Record<string, TomlTable>>,
): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "server.mjs"), SERVER);
  writeFileSync(join(directory, "text.mjs"), `export const text = ${JSON.stringify(text)};\n`);
  const base = { web_server: ["node", "server.mjs"], max_inputs: 100, startup_timeout: 20 };
  const endpoint = Object.entries(endpoints).map(([name, more]) =>
    Object.assign({ function: name }, base, more),
  );
  writeFileSync(join(directory, "postern.toml"), stringify({ app, endpoint }));
}
