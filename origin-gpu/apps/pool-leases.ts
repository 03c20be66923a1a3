/**
 * Asks the gateway for this box's shares of the pools that other boxes run too (docs/protocol.md, "Pools of several
 * boxes"): at once where a pool needs more than it may have, and before the lease ends. A pool has nothing before the
 * first answer. Where the gateway cannot be asked before the lease ends, each pool keeps what it has and starts nothing
 * new.
 */
import { messageOf } from "../../base/thrown.ts";
import type { PoolKey, PoolLease, PoolUse, PoolUses } from "../../routing/wire/pool-leases.ts";
import {
  type LeasedPool,
  NO_TERMS,
  type PoolMembership,
  type PoolNeeds,
  type PoolTerms,
} from "../endpoints/pool-terms.ts";
import type { GatewayClient } from "../link/gateway-client.ts";
import { CoalescedTask, type Later, laterByTimer } from "./coalesced-task.ts";

export interface PoolLeasesOptions {
  readonly ask: (uses: PoolUses) => Promise<PoolLease>;
  readonly later: Later;
  /** Milliseconds of any clock that never goes back. */
  readonly now: () => number;
  readonly notice: (line: string) => void;
}

interface Member {
  readonly key: PoolKey;
  readonly pool: LeasedPool;
  terms: PoolTerms;
  /** As the gateway was told last; undefined before it has answered. */
  told: PoolNeeds | undefined;
}

export class PoolLeases {
  readonly #options: PoolLeasesOptions;
  readonly #members = new Set<Member>();
  readonly #asking: CoalescedTask;
  #isAskingSoon = false;
  /** Why the gateway could not be asked; empty where it could. */
  #problem = "";
  #isLive = false;
  #forgetRenewal: (() => void) | undefined;
  #forgetEnd: (() => void) | undefined;

  constructor(options: PoolLeasesOptions) {
    this.#options = options;
    this.#asking = new CoalescedTask(
      async () => await this.#ask(),
      (error) => (this.#problem = messageOf(error)),
      options.later,
    );
  }

  /** Takes a pool in; it hears of its terms until it leaves. */
  join(key: PoolKey, pool: LeasedPool): PoolMembership {
    const member: Member = { key, pool, terms: NO_TERMS, told: undefined };
    this.#members.add(member);
    this.#askSoon();
    return {
      changed: () => {
        // A gateway that did not answer is asked again after a while.
        if (this.#problem !== "" || !this.#members.has(member)) return;
        if (this.#isNews(member)) this.#askSoon();
      },
      leave: () => {
        if (this.#members.delete(member)) this.#askSoon();
      },
    };
  }

  /** The gateway has something new, or is there again. */
  refresh(): void {
    if (this.#members.size > 0) this.#askSoon();
  }

  close(): void {
    this.#asking.close();
    this.#forgetRenewal?.();
    this.#forgetEnd?.();
    this.#members.clear();
  }

  /** Whether the gateway should hear of the pool before the lease is renewed. */
  #isNews({ pool, terms, told }: Member): boolean {
    if (told === undefined) return false;
    const { min, max, buffer, needs, has, proved } = pool.needs();
    // A lease that was not needed has ended.
    if (!this.#isLive && needs > 0) return true;
    if (needs > terms.most && needs > told.needs) return true;
    // Another box waits for what this one has too much.
    if (told.has > terms.most && has < told.has) return true;
    const isSame = min === told.min && max === told.max && buffer === told.buffer;
    return !isSame || proved !== told.proved;
  }

  /** After the present turn: what happens in one is asked for together. */
  #askSoon(): void {
    if (this.#isAskingSoon) return;
    this.#isAskingSoon = true;
    queueMicrotask(() => {
      this.#isAskingSoon = false;
      this.#asking.ask();
    });
  }

  async #ask(): Promise<void> {
    const { ask, now } = this.#options;
    const sentAtMs = now();
    const sent = new Map<string, [Member, PoolNeeds]>();
    for (const member of this.#members) {
      sent.set(textOf(member.key), [member, member.pool.needs()]);
    }
    const pools = [...sent.values()].map(([{ key }, needs]): PoolUse =>
      Object.assign({}, key, needs),
    );
    const lease = await ask({ pools });
    this.#problem = "";
    this.#onLease(lease, sentAtMs, sent);
  }

  #onLease(
    { pools, leaseMs, askAgainMs }: PoolLease,
    sentAtMs: number,
    sent: ReadonlyMap<string, [Member, PoolNeeds]>,
  ): void {
    const { now, later } = this.#options;
    const leftMs = sentAtMs + leaseMs - now();
    this.#isLive = leftMs > 0;
    this.#forgetEnd?.();
    this.#forgetEnd = later(() => this.#onEnd(), Math.max(0, leftMs));
    this.#forgetRenewal?.();
    this.#forgetRenewal = later(() => this.refresh(), Math.min(askAgainMs, Math.max(0, leftMs)));
    const shares = new Map(pools.map((share) => [textOf(share), share]));
    for (const [key, [member, told]] of sent) {
      if (!this.#members.has(member)) continue;
      const share = shares.get(key);
      member.told = told;
      this.#give(member, share === undefined ? NO_TERMS : { ...share, mayStart: this.#isLive });
      // Something may have changed while the request was on its way.
      if (this.#isNews(member)) this.#askSoon();
    }
  }

  #onEnd(): void {
    this.#isLive = false;
    for (const member of this.#members) {
      this.#give(member, { ...member.terms, mayStart: false, elsewhere: false });
    }
    if (!this.#isUsed) return;
    const why = this.#problem === "" ? "the gateway did not answer in time" : this.#problem;
    this.#options.notice(
      `postern: no lease for endpoints that other boxes serve too: ${why}; ` +
        "their containers go on, and none is started until the gateway answers",
    );
    this.#askSoon();
  }

  get #isUsed(): boolean {
    return [...this.#members].some(({ pool }) => {
      const { min, needs, has } = pool.needs();
      return min > 0 || needs > 0 || has > 0;
    });
  }

  #give(member: Member, terms: PoolTerms): void {
    const { least, buffer, most, mayStart, proved, elsewhere } = terms;
    member.terms = { least, buffer, most, mayStart, proved, elsewhere };
    member.pool.onTerms(member.terms);
  }
}

function textOf({ app, version, pool }: PoolKey): string {
  return `${app}/${version}/${pool}`;
}

/** Asks by HTTP, on real timers. */
export function leasesFrom(
  gateway: Pick<GatewayClient, "ask">,
  notice: (line: string) => void,
): PoolLeases {
  return new PoolLeases({
    ask: async (uses) => await gateway.ask("poolShares", {}, uses),
    later: laterByTimer,
    now: () => performance.now(),
    notice,
  });
}
