/**
 * What a box serves, put into the names that the edge reads. The list of link 0's hello is the whole
 * truth: names that the box held before and does not list any more are given back.
 */
import { endpointName, webSuffixOf } from "../routing/names.ts";
import type { EndpointAnnouncement, Hello, Welcome } from "../routing/wire/messages.ts";
import { type Env, publicScheme } from "./env.ts";
import { namesShard } from "./names.ts";

type Answer = Welcome["endpoints"][number];

/** Claims what is announced, releases what is no longer; the answers stand in the announced order. */
export async function registerEndpoints(
  env: Env,
  sql: SqlStorage,
  owner: { workspace: string; box: string },
  hello: Hello,
): Promise<Answer[]> {
  if (hello.endpoints === undefined) return [];
  const announced = await Promise.all(
    hello.endpoints.map(async (announcement) => ({
      announcement,
      name: await nameOf(announcement),
    })),
  );
  const holder = `${owner.workspace}/${owner.box}`;
  sql.exec("CREATE TABLE IF NOT EXISTS served (name TEXT PRIMARY KEY) WITHOUT ROWID");
  const before = sql.exec<{ name: string }>("SELECT name FROM served").toArray();
  const names = new Set(announced.flatMap(({ name }) => ("text" in name ? [name.text] : [])));
  const gone = before.map((row) => row.name).filter((name) => !names.has(name));
  // Noted before they are claimed: a crash in between leaves a note too many, never a name too many.
  for (const name of names) sql.exec("INSERT OR IGNORE INTO served (name) VALUES (?)", name);
  await Promise.all(gone.map(async (name) => (await namesShard(env, name)).release(name, holder)));
  for (const name of gone) sql.exec("DELETE FROM served WHERE name = ?", name);
  return await Promise.all(
    announced.map(async ({ announcement, name }): Promise<Answer> => {
      if ("refused" in name) return name;
      const { workspace, environment, app, endpoint, settings } = announcement;
      if (workspace !== owner.workspace) {
        const detail = `this box belongs to workspace ${owner.workspace}, not to ${workspace}`;
        return { refused: "forbidden", detail };
      }
      const boxes = [{ box: owner.box, links: hello.links }];
      const snapshot = { workspace, environment, app, appId: holder, boxes, endpoint, settings };
      const shard = await namesShard(env, name.text);
      const claimant = { owner: holder, workspace, kind: "in_place", startedAt: 0 } as const;
      const held = await shard.commit(name.text, claimant, snapshot);
      if (held !== undefined)
        return { refused: "label_held", detail: `${name.text} is held by another box` };
      const domain = env.POSTERN_BASE_DOMAIN;
      return { url: `${publicScheme(domain)}://${name.text}.${domain}` };
    }),
  );
}

/** The name that an announcement stands for, by the rules of routing/names.ts. */
async function nameOf(
  announcement: EndpointAnnouncement,
): Promise<{ text: string } | { refused: "bad_request"; detail: string }> {
  const { environment } = announcement;
  const name = await endpointName({ ...announcement, suffix: webSuffixOf(environment) });
  return name.ok ? { text: name.value } : { refused: "bad_request", detail: name.reason };
}
