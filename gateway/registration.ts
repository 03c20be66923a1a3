/**
 * What a box serves, put into the names that the edge reads. The list of link 0's hello is the whole
 * truth: names that the box held before and does not list any more are given back.
 */
import type { Hello, Welcome } from "../routing/wire/messages.ts";
import { type Env, publicScheme } from "./env.ts";
import { namesShard } from "./names.ts";

/** A DNS label with the `--` that separates source and label; the longest is 63 characters. */
const NAME = /^(?=.{4,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?--[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** Claims what is announced, releases what is no longer; the answers stand in the announced order. */
export async function registerEndpoints(
  env: Env,
  sql: SqlStorage,
  box: string,
  hello: Hello,
): Promise<Welcome["endpoints"]> {
  const announced = hello.endpoints;
  if (announced === undefined) return [];
  sql.exec("CREATE TABLE IF NOT EXISTS served (name TEXT PRIMARY KEY) WITHOUT ROWID");
  const before = sql.exec<{ name: string }>("SELECT name FROM served").toArray();
  const names = new Set(announced.map((entry) => entry.name));
  const gone = before.map((row) => row.name).filter((name) => !names.has(name));
  // Noted before they are claimed: a crash in between leaves a note too many, never a name too many.
  for (const name of names) sql.exec("INSERT OR IGNORE INTO served (name) VALUES (?)", name);
  await Promise.all(gone.map(async (name) => (await namesShard(env, name)).release(name, box)));
  for (const name of gone) sql.exec("DELETE FROM served WHERE name = ?", name);
  return await Promise.all(
    announced.map(async ({ name, endpoint, settings }): Promise<Welcome["endpoints"][number]> => {
      if (!NAME.test(name)) return { refused: "bad_request", detail: `not a valid name: ${name}` };
      const shard = await namesShard(env, name);
      const { held } = await shard.claim(name, box, {
        box,
        links: hello.links,
        endpoint,
        settings,
      });
      if (held) return { refused: "label_held", detail: `${name} is held by another box` };
      const domain = env.POSTERN_BASE_DOMAIN;
      return { url: `${publicScheme(domain)}://${name}.${domain}` };
    }),
  );
}
