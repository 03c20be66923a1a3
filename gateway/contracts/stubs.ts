/**
 * Gives the Worker and the objects the stubs by which they address an object. No text that a client chose becomes
 * an object's name. An object costs a file and a descriptor, and a client can send any number of names
 * (docs/storage.md).
 */
import { shardKeyOf } from "../../routing/domains.ts";
import { MAX_LINKS } from "../../routing/wire/limits.ts";
import type { Env } from "./env.ts";
import type { BoxNews, LinkRpc } from "./link.ts";
import type { MeterRpc } from "./meter.ts";
import type { BoxPlace, NamesRpc } from "./names.ts";
import type { WorkspaceRpc } from "./workspace.ts";

/** The number of `Names` objects. It is part of the stored format: a name has one shard for ever. */
const SHARDS = 64;

/** Ids of links' objects are computed once per isolate; beyond this number the table starts over. */
const MAX_ORIGIN_IDS = 10_000;

const originIds = new Map<string, DurableObjectId>();

/** A workspace's object. Never with a name that a stranger chose. */
export function workspaceStub(env: Env, name: string): DurableObjectStub<WorkspaceRpc> {
  return env.WORKSPACE.get(env.WORKSPACE.idFromName(name));
}

/** The object with a workspace's rate limits. Never with a name that a stranger chose. */
export function meterStub(env: Env, workspace: string): DurableObjectStub<MeterRpc> {
  return env.METER.get(env.METER.idFromName(workspace));
}

/** The shard that a name lives in: an endpoint's, a custom domain, its route, or a host that it may match. */
export async function namesShard(env: Env, name: string): Promise<DurableObjectStub<NamesRpc>> {
  const key = new TextEncoder().encode(shardKeyOf(name));
  const digest = await crypto.subtle.digest("SHA-256", key);
  const shard = new DataView(digest).getUint32(28) % SHARDS;
  return env.NAMES.get(env.NAMES.idFromName(`shard-${shard}`));
}

/** The name of a link's object. */
export function linkName(workspace: string, box: string, link: number): string {
  return `${workspace}/${box}/${link}`;
}

/** Whose link it is, by the name of the link's object. */
export function boxOfLink(name: string): { workspace: string; box: string } {
  const [workspace = "", box = ""] = name.split("/");
  return { workspace, box };
}

/**
 * The object of a box's link. Workspace and box come from credentials, verified tokens and snapshots only,
 * never from a stranger.
 */
export function originStub(
  env: Env,
  workspace: string,
  box: string,
  link: number,
): DurableObjectStub<LinkRpc> {
  const name = linkName(workspace, box, link);
  let id = originIds.get(name);
  if (id === undefined) {
    if (originIds.size >= MAX_ORIGIN_IDS) originIds.clear();
    id = env.ORIGIN.idFromName(name);
    originIds.set(name, id);
  }
  return env.ORIGIN.get(id);
}

/** Whether a link is up; with an incarnation: that agent's. */
export async function isLinkUp(
  env: Env,
  workspace: string,
  { box, link, incarnation }: { box: string; link: number; incarnation?: string },
): Promise<boolean> {
  try {
    return await originStub(env, workspace, box, link).isUp(incarnation);
  } catch {
    // The object was reset, and its link with it.
    return false;
  }
}

/**
 * Ends the links of a box whose credentials are void, and the WebSockets that came over them. Asks for every link that
 * a box may have: an agent that lies may have more than it says.
 */
export async function cutLinks(env: Env, workspace: string, box: string): Promise<void> {
  const numbers = Array.from({ length: MAX_LINKS }, (_, link) => link);
  await Promise.all(numbers.map((link) => originStub(env, workspace, box, link).cutRevoked()));
}

/** Tells a box's agent to ask for something anew, over the first link that is up; returns whether it heard. */
export async function notifyBox(
  env: Env,
  workspace: string,
  { box, links }: BoxPlace,
  news: BoxNews,
): Promise<boolean> {
  for (let link = 0; link < links; link += 1) {
    try {
      if (await originStub(env, workspace, box, link).notify(news)) return true;
    } catch {
      // The object was reset, and its link with it.
    }
  }
  return false;
}
