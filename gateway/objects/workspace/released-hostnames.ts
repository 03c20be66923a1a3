/**
 * Hostnames of a platform whose domain was released. A name and its wildcard share a hostname, which goes with the last
 * claim of the two. Both may be released at once, and the platform may be down. So each released domain is noted before
 * its claim is given back, and is looked after until the hostname is gone, or another claim needs it.
 */
import type { HostnameReport } from "./custom-hostnames.ts";
import type { DomainsDeps } from "./domains-deps.ts";

/** When `Names` or the platform did not answer. */
const RETRY_MS = 60_000;

const FACT = "released_hostname ";

export class ReleasedHostnames {
  readonly #deps: DomainsDeps;
  readonly #isServed: (domain: string) => boolean;

  /** @param isServed whether the workspace serves at a domain again */
  constructor(deps: DomainsDeps, isServed: (domain: string) => boolean) {
    this.#deps = deps;
    this.#isServed = isServed;
  }

  /** Notes that a domain is about to be released. */
  note(domain: string, checkAt: number): void {
    if (this.#deps.hostnames === undefined) return;
    this.#deps.sql.exec(
      "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      FACT + domain,
      checkAt,
    );
  }

  /** Deletes the hostname of a domain, unless another claim needs it. A failure is tried again. */
  async settle(domain: string, now: number): Promise<void> {
    if (this.#deps.hostnames === undefined) return;
    const report = await this.#drop(domain).catch(() => undefined);
    if (report?.isDone === true) {
      this.#deps.sql.exec("DELETE FROM facts WHERE name = ?", FACT + domain);
    } else {
      this.note(domain, now + (report?.retryMs ?? RETRY_MS));
      this.#deps.changed();
    }
  }

  /** Looks after those whose time has come. */
  async lookAfter(now: number): Promise<void> {
    for (const { domain } of this.#due(now)) await this.settle(domain, now);
  }

  nextDue(): number | undefined {
    return this.#due(Number.MAX_SAFE_INTEGER)[0]?.at;
  }

  async #drop(domain: string): Promise<Pick<HostnameReport, "isDone" | "retryMs">> {
    const { claims, hostnames, workspace } = this.#deps;
    const isNeeded = this.#isServed(domain) || (await claims.isClaimedBesides(domain, workspace));
    if (isNeeded || hostnames === undefined) return { isDone: true, retryMs: undefined };
    return await hostnames.remove(domain);
  }

  #due(now: number): { domain: string; at: number }[] {
    const rows = this.#deps.sql.exec<{ name: string; value: number }>(
      "SELECT name, value FROM facts WHERE name >= ? AND name < ? AND value <= ? ORDER BY value",
      FACT,
      `${FACT}\u{10ffff}`,
      now,
    );
    return rows
      .toArray()
      .map(({ name, value }) => ({ domain: name.slice(FACT.length), at: value }));
  }
}
