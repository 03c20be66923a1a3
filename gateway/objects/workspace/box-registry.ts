/**
 * Enrolling, revoking and finding a workspace's boxes: the database (boxes.ts) together with those who
 * know better whether a link is up, the `Origin` objects. A gateway that was killed could not tell of
 * the links that went with it, so that before something is decided or shown the objects are asked.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { MAX_BOXES } from "../../../api/limits.ts";
import {
  type BoxInfo,
  type BoxLink,
  type LinkGreeting,
  type HeldByBoxes,
  type NewBox,
  type Enrolment,
} from "../../contracts/workspace/boxes.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import { deriveBoxKey } from "../../../auth/box-credential.ts";
import { cutLinks, isLinkUp } from "../../contracts/stubs.ts";
import type { Env } from "../../contracts/env.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import { Boxes } from "./boxes.ts";

const SERIAL_BYTES = 12;

export class BoxRegistry {
  readonly boxes: Boxes;
  readonly #env: Env;
  readonly #workspace: string;

  constructor(env: Env, workspace: string, sql: SqlStorage) {
    this.#env = env;
    this.#workspace = workspace;
    this.boxes = new Boxes(sql);
  }

  /** Enrols a box, anew where it is enrolled already and not connected. */
  async enrol(chosen: NewBox, by: string): Promise<Result<Enrolment, Refusal>> {
    const workspace = this.#workspace;
    const serial = randomHex(SERIAL_BYTES);
    const keys = await gatewayKeys(this.#env);
    const key = await deriveBoxKey(keys, { workspace, box: chosen.name, serial });
    if (await this.isConnected(chosen.name)) {
      const detail = `box ${chosen.name} is connected: stop its agent, or enrol under another name`;
      return err({ code: "conflict", detail });
    }
    const now = Date.now();
    this.boxes.forgetExpired(now);
    const isAnew = this.boxes.find(chosen.name) !== undefined;
    if (!isAnew && this.boxes.count >= MAX_BOXES) {
      const detail = `the workspace has its ${MAX_BOXES} boxes; revoke one first`;
      return err({ code: "conflict", detail });
    }
    const box = this.boxes.enrol(chosen, serial, by, now);
    // WebSockets outlive the link that they came over. Those of the earlier enrolment end with it.
    if (isAnew) await cutLinks(this.#env, workspace, box.name);
    return ok({ box, serial, key });
  }

  async list(page: PageRequest): Promise<Page<BoxInfo>> {
    this.boxes.forgetExpired(Date.now());
    const { items, nextCursor } = this.boxes.list(page);
    const shown = items.map(async (box) => await this.#asItIs(box));
    return { items: await Promise.all(shown), nextCursor };
  }

  async find(name: string): Promise<BoxInfo | undefined> {
    this.boxes.forgetExpired(Date.now());
    const box = this.boxes.find(name);
    return box === undefined ? undefined : await this.#asItIs(box);
  }

  /** Forgets a box and ends its links; returns whether it was there. */
  async revoke(name: string): Promise<boolean> {
    if (this.boxes.find(name) === undefined) return false;
    // Forgotten first: a link that comes up while the others are cut finds its box gone.
    this.boxes.delete(name);
    await cutLinks(this.#env, this.#workspace, name);
    return true;
  }

  /** Reads alone: a box must be let in where the disk is full. */
  isEnrolled(name: string, serial: string): boolean {
    return this.boxes.isEnrolled(name, serial, Date.now());
  }

  /** Reads alone, and asks no link: one of them may ask this. */
  has(name: string): boolean {
    return this.boxes.find(name) !== undefined;
  }

  /** Notes a link that came up; false when its box is not enrolled any more. */
  linkUp(greeting: LinkGreeting): boolean {
    if (!this.isEnrolled(greeting.box, greeting.serial)) return false;
    this.boxes.linkUp(greeting, Date.now());
    return true;
  }

  /** Notes a link that went; returns whether it was its box's last one. */
  linkLost(link: BoxLink): boolean {
    return this.boxes.linkLost(link, Date.now());
  }

  /** Whether any link of a box is up now, asked where it is known. */
  async isConnected(name: string): Promise<boolean> {
    const links = this.boxes.linksOf(name);
    const asked = links.map(async (link) => {
      const up = await isLinkUp(this.#env, this.#workspace, link);
      if (!up) this.linkLost(link);
      return up;
    });
    return (await Promise.all(asked)).includes(true);
  }

  /** Boxes that said they have it, connected ones first. */
  holdersOf(held: HeldByBoxes): BoxPlace[] {
    return "code" in held ? this.boxes.holdersOf(held.code) : this.boxes.sharersOf(held);
  }

  async #asItIs(box: BoxInfo): Promise<BoxInfo> {
    if (box.connectedAt === null) return box;
    if (await this.isConnected(box.name)) return { ...box, lastSeenAt: Date.now() };
    return this.boxes.find(box.name) ?? box;
  }
}

function randomHex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
