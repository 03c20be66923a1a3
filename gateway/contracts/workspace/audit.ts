/** A workspace's audit log, as its object is asked for it. Times are milliseconds of the epoch. */
import type { Page, PageRequest } from "./pages.ts";

/** An operation of the API that begins. */
export interface NewAuditEntry {
  /** The API token's id and its name. */
  readonly by: string;
  readonly byName: string;
  /** The operation's id. */
  readonly operation: string;
  /** Names of the path. Never a member of the body that may hold a secret. */
  readonly object: string;
}

export interface AuditEntry extends NewAuditEntry {
  readonly at: number;
  /** `ok`, or the code of a refusal; null while it is not known. */
  readonly result: string | null;
}

export interface AuditMethods {
  /** Notes an operation before it changes anything; returns the entry's number. */
  noteBegun(entry: NewAuditEntry): number;
  /** Notes an operation's end. @param object instead of the first one, where it was not known yet */
  noteEnded(number: number, result: string, object?: string): void;
  listAudit(page: PageRequest): Page<AuditEntry>;
}
