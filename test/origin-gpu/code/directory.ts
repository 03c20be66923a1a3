/** Directories of files for the tests of code. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { temporaryDirectory } from "../../support/temporary.ts";

/** By path: text, bytes, a link's target, or a program's text. */
export type Content = string | Uint8Array | { link: string } | { program: string };

/** Puts files into a directory, a fresh one unless it is given. */
export function directoryWith(
  files: Readonly<Record<string, Content>>,
  directory = temporaryDirectory(),
): string {
  for (const [path, content] of Object.entries(files)) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    if (typeof content === "string" || content instanceof Uint8Array) writeFileSync(file, content);
    else if ("link" in content) symlinkSync(content.link, file);
    else {
      writeFileSync(file, content.program);
      chmodSync(file, 0o755);
    }
  }
  return directory;
}

/** Every file and link below a directory: its text, or `-> target`. */
export function contentsOf(directory: string, within = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(join(directory, within), { withFileTypes: true })) {
    const name = within + entry.name;
    const path = join(directory, name);
    if (entry.isSymbolicLink()) found[name] = `-> ${readlinkSync(path)}`;
    else if (entry.isFile()) found[name] = readFileSync(path, "utf8");
    else Object.assign(found, contentsOf(directory, `${name}/`));
  }
  return found;
}
