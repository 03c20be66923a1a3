/**
 * A workspace's enrolled GPU boxes in its database: the serial that may connect under each name, the links that
 * are up, and the code that each box has. The links are those that the `Origin` objects reported last; a caller
 * that needs the present state asks these objects (box-links.ts). The database holds no key, because keys are
 * derived from serials (auth/box-credential.ts).
 */
import { MINUTE_MS } from "../../../base/units.ts";
import type { GatewayOperationName } from "../../../routing/wire/gateway-operations.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import {
  type BoxInfo,
  type HeldByBoxes,
  type BoxLink,
  type LinkGreeting,
  type NewBox,
  type RequestSender,
} from "../../contracts/workspace/boxes.ts";
import { pageOf } from "../pages.ts";

/** An ephemeral box goes this long after its last link. */
const EPHEMERAL_AWAY_MS = MINUTE_MS;

/** An ephemeral box that never connected goes this long after its enrolment. */
const EPHEMERAL_UNUSED_MS = 10 * MINUTE_MS;

type Row = {
  number: number;
  name: string;
  serial: string;
  region: string;
  ephemeral: number;
  created_at: number;
  created_by: string;
  agent: string;
  links: number;
  last_seen_at: number | null;
  connected_at: number | null;
};

const SELECT = `SELECT boxes.*,
  (SELECT min(connected_at) FROM box_links WHERE box_links.box = boxes.name) AS connected_at
  FROM boxes`;

export class Boxes {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get count(): number {
    return this.#sql.exec<{ count: number }>("SELECT count(*) AS count FROM boxes").one().count;
  }

  /** Enrols a box; one that is enrolled already gets the new serial, and its old one is void. */
  enrol({ name, region, ephemeral }: NewBox, serial: string, by: string, now: number): BoxInfo {
    this.#sql.exec(
      `INSERT INTO boxes (name, serial, region, ephemeral, created_at, created_by, agent, links, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, '', 1, ?)
       ON CONFLICT (name) DO UPDATE SET serial = excluded.serial, region = excluded.region,
         ephemeral = excluded.ephemeral, created_at = excluded.created_at,
         created_by = excluded.created_by, expires_at = excluded.expires_at`,
      name,
      serial,
      region,
      ephemeral ? 1 : 0,
      now,
      by,
      ephemeral ? now + EPHEMERAL_UNUSED_MS : null,
    );
    this.#sql.exec("DELETE FROM box_links WHERE box = ?", name);
    return this.find(name) as BoxInfo;
  }

  find(name: string): BoxInfo | undefined {
    const [row] = this.#sql.exec<Row>(`${SELECT} WHERE name = ?`, name);
    return row === undefined ? undefined : infoOf(row);
  }

  /** Newest enrolment first. */
  list({ limit, cursor }: PageRequest): Page<BoxInfo> {
    const rows = this.#sql
      .exec<Row>(
        `${SELECT} WHERE number < ? ORDER BY number DESC LIMIT ?`,
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, infoOf);
  }

  /** Every box that is there to stay, by name: what an app may be placed on. */
  lasting(): BoxInfo[] {
    return this.#sql.exec<Row>(`${SELECT} WHERE NOT ephemeral ORDER BY name`).toArray().map(infoOf);
  }

  /** Whether this is a box's present enrolment; not when that was revoked, was replaced or has expired. */
  isEnrolled(name: string, serial: string, now: number): boolean {
    const found = this.#sql.exec(
      "SELECT 1 FROM boxes WHERE name = ? AND serial = ? AND (expires_at IS NULL OR expires_at > ?)",
      name,
      serial,
      now,
    );
    return found.toArray().length > 0;
  }

  /** Forgets a box, with its links and what it has. */
  delete(name: string): void {
    this.#sql.exec("DELETE FROM boxes WHERE name = ?", name);
    this.#sql.exec("DELETE FROM box_links WHERE box = ?", name);
    this.#sql.exec("DELETE FROM box_code WHERE box = ?", name);
    this.#sql.exec("DELETE FROM box_requests WHERE box = ?", name);
  }

  /** Forgets ephemeral boxes whose time is over. */
  forgetExpired(now: number): void {
    const gone = this.#sql
      .exec<{ name: string }>("SELECT name FROM boxes WHERE expires_at <= ?", now)
      .toArray();
    for (const { name } of gone) this.delete(name);
  }

  /** Notes that a link is up. */
  linkUp({ box, link, incarnation, agent, links }: LinkGreeting, now: number): void {
    this.#sql.exec(
      `INSERT INTO box_links (box, link, incarnation, connected_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (box, link) DO UPDATE SET incarnation = excluded.incarnation,
         connected_at = CASE incarnation WHEN excluded.incarnation THEN connected_at
           ELSE excluded.connected_at END`,
      box,
      link,
      incarnation,
      now,
    );
    this.#sql.exec(
      "UPDATE boxes SET agent = ?, links = ?, last_seen_at = ?, expires_at = NULL WHERE name = ?",
      agent,
      links,
      now,
      box,
    );
  }

  /** Notes that a link is gone; returns whether it was the box's last one. */
  linkLost({ box, link, incarnation }: BoxLink, now: number): boolean {
    const { rowsWritten } = this.#sql.exec(
      "DELETE FROM box_links WHERE box = ? AND link = ? AND incarnation = ?",
      box,
      link,
      incarnation,
    );
    if (rowsWritten === 0 || this.linksOf(box).length > 0) return false;
    this.#sql.exec(
      `UPDATE boxes SET last_seen_at = ?1,
         expires_at = CASE WHEN ephemeral THEN ?1 + ?2 END WHERE name = ?3`,
      now,
      EPHEMERAL_AWAY_MS,
      box,
    );
    return true;
  }

  /** The links of a box that were up when they were last heard of. */
  linksOf(box: string): BoxLink[] {
    return this.#sql
      .exec<{ box: string; link: number; incarnation: string }>(
        "SELECT box, link, incarnation FROM box_links WHERE box = ? ORDER BY link",
        box,
      )
      .toArray();
  }

  /**
   * Whether a request that says how the box stands is the latest one of its kind, which is noted. It is not where another
   * agent of the box is connected, which the gateway will refuse, and where it was on its way for longer than a later one.
   */
  isLatest(
    box: string,
    operation: GatewayOperationName,
    { incarnation, number }: RequestSender,
  ): boolean {
    if (incarnation === undefined) return true;
    const links = this.linksOf(box);
    if (links.length > 0 && links.every((link) => link.incarnation !== incarnation)) return false;
    if (number === undefined) return true;
    const { rowsWritten } = this.#sql.exec(
      `INSERT INTO box_requests (box, operation, incarnation, number) VALUES (?, ?, ?, ?)
       ON CONFLICT (box, operation) DO UPDATE SET incarnation = excluded.incarnation,
         number = excluded.number
       WHERE incarnation <> excluded.incarnation OR number <= excluded.number`,
      box,
      operation,
      incarnation,
      number,
    );
    return rowsWritten > 0;
  }

  /** Notes all the code that a box has on its disk. */
  setCode(box: string, hashes: readonly string[]): void {
    this.#sql.exec("DELETE FROM box_code WHERE box = ?", box);
    for (const hash of new Set(hashes)) {
      this.#sql.exec("INSERT INTO box_code (box, hash) VALUES (?, ?)", box, hash);
    }
  }

  /** Notes code that a box has just taken; its next report says so itself. */
  addCode(box: string, hash: string): void {
    this.#sql.exec("INSERT OR IGNORE INTO box_code (box, hash) VALUES (?, ?)", box, hash);
  }

  /** Whether a box said that it has this code. */
  hasCode(box: string, hash: string): boolean {
    return this.holdersOf(hash).some((holder) => holder.box === box);
  }

  /** The boxes that said they have this code, connected ones first. */
  holdersOf(hash: string): BoxPlace[] {
    return this.#sql
      .exec<{ box: string; links: number }>(
        `SELECT name AS box, links FROM boxes JOIN box_code ON box_code.box = name WHERE hash = ?
         ORDER BY EXISTS (SELECT 1 FROM box_links WHERE box_links.box = name) DESC, name`,
        hash,
      )
      .toArray();
  }

  /** The other boxes of a deployed app's serving version, connected ones first; none for a box that is not of them. */
  sharersOf({ environment, app, beside }: Exclude<HeldByBoxes, { code: string }>): BoxPlace[] {
    return this.#sql
      .exec<{ box: string; links: number }>(
        `SELECT boxes.name AS box, boxes.links FROM apps
         JOIN versions ON versions.app = apps.id AND versions.status = 'serving'
         JOIN version_boxes AS own ON own.app = apps.id AND own.version = versions.version
         JOIN version_boxes AS other ON other.app = apps.id AND other.version = versions.version
         JOIN boxes ON boxes.name = other.box
         WHERE apps.environment = ?1 AND apps.name = ?2 AND apps.kind = 'deployed'
           AND apps.stopped_at IS NULL AND own.box = ?3 AND other.box <> ?3
         ORDER BY EXISTS (SELECT 1 FROM box_links WHERE box_links.box = boxes.name) DESC, box`,
        environment,
        app,
        beside,
      )
      .toArray();
  }
}

function infoOf(row: Row): BoxInfo {
  return {
    name: row.name,
    region: row.region,
    ephemeral: row.ephemeral !== 0,
    createdAt: row.created_at,
    createdBy: row.created_by,
    agent: row.agent,
    links: row.links,
    connectedAt: row.connected_at,
    lastSeenAt: row.last_seen_at,
  };
}
