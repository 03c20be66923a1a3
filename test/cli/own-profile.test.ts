/** The profile that a gateway keeps in its state directory, on a disk that flips bits. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ownAccess } from "../../cli/access.ts";
import { writeOwnProfile } from "../../cli/gateway/own-profile.ts";
import { openStateDirectory } from "../../cli/gateway/state-directory.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const URL = "http://localhost:8787";

/** A state directory on which a gateway runs. */
async function running(): Promise<{ path: string; profile: string }> {
  const path = join(temporaryDirectory(), "state");
  const state = openStateDirectory(path, () => undefined);
  onTestFinished(() => state.release());
  await writeOwnProfile(state, URL, "tests");
  state.writeRunning({
    url: URL,
    baseDomain: "localhost:8787",
    workerdPort: 40_000,
    pid: process.pid,
  });
  return { path, profile: join(path, "profile.toml") };
}

test("a flipped bit of it, or of its checksum, changes no command's access", async () => {
  const { path, profile } = await running();
  const access = ownAccess(path);
  for (const file of [profile, `${profile}.crc32`]) {
    const content = readFileSync(file);
    for (let bit = 0; bit < 8 * content.length; bit += 1) {
      const flipped = Buffer.from(content);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      writeFileSync(file, flipped);
      expect(ownAccess(path), `${file}, bit ${bit}`).toEqual(access);
    }
    writeFileSync(file, content);
  }
});

test.each([
  ["is no TOML", (text: string) => text.replace("[", "((")],
  ["lacks a value", (text: string) => text.replace("token_id", "tokem_ie")],
  ["has another kind of value", (text: string) => text.replace("true", '"tr"')],
  ["has no URL", (text: string) => text.replace("http", "hppt")],
  ["is empty", () => ""],
])("where it %s, a command says what to do", async (_, damage) => {
  const { path, profile } = await running();
  writeFileSync(profile, damage(readFileSync(profile, "utf8")));
  expect(() => ownAccess(path)).toThrow(
    new RegExp(`^${profile}.*; start the gateway again: it writes this file anew$`),
  );
});
