/**
 * Asks the gateway for this box's shares of the pools that other boxes run too (docs/protocol.md, "Pools of several
 * boxes"): at once where a pool needs more than it may have, and before the lease ends. For `buffer_containers` it asks
 * at once too, but not again and again. Where it has more than it needs for a while, it says so: another box may wait for
 * that. A pool has nothing before the first answer. Where the gateway cannot be asked
 * before the lease ends, each pool keeps what it has and starts nothing new.
 */
import { SECOND_MS } from "../../base/units.ts";
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

/**
 * A box asks for `buffer_containers` no more often than this, for all of its pools together. Calls that come and go many
 * times a second would ask each time. A container takes seconds to start, so that this delays it little.
 */
const BUFFER_PAUSE_MS = 2 * SECOND_MS;

/** Calls that come and go many times a second leave containers without need for moments: nobody is told of those. */
const SPARE_FOR_MS = 2 * SECOND_MS;

export interface PoolLeasesOptions {
  readonly ask: (uses: PoolUses) => Promise<PoolLease>;
  readonly later: Later;
  /** Milliseconds of any clock that never goes back. */
  readonly now: () => number;
  readonly notice: (line: string) => void;
}

/** The pools under one key. Where one has begun while another one ends, the newest has what the others leave. */
interface Member {
  readonly key: PoolKey;
  /** The newest one last. */
  readonly pools: [LeasedPool, ...LeasedPool[]];
  terms: PoolTerms;
  /** The number of the share that it goes by. */
  grant: number;
  /** As the gateway was told last; undefined before it has answered. */
  told: PoolNeeds | undefined;
  /** Takes back the look at whether it has more than it needs still; undefined where none is to come. */
  forgetSpare: (() => void) | undefined;
}

export class PoolLeases {
  readonly #options: PoolLeasesOptions;
  readonly #members = new Map<string, Member>();
  readonly #asking: CoalescedTask;
  #isAskingSoon = false;
  /** Why the gateway could not be asked; empty where it could. */
  #problem = "";
  #isLive = false;
  #forgetRenewal: (() => void) | undefined;
  #forgetEnd: (() => void) | undefined;
  /** When it asked for a buffer last. */
  #bufferAskedAtMs = -Infinity;
  /** Takes back the look at the end of the pause; undefined where none is to come. */
  #forgetPause: (() => void) | undefined;

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
    const name = textOf(key);
    const known = this.#members.get(name);
    known?.pools.push(pool);
    const member = known ?? newMember(key, pool);
    this.#members.set(name, member);
    this.#askSoon();
    return {
      changed: () => {
        // A gateway that did not answer is asked again after a while.
        if (this.#problem !== "" || this.#members.get(name) !== member) return;
        this.#askIfWorth(member);
      },
      leave: () => {
        if (this.#members.get(name) !== member) return;
        const place = member.pools.indexOf(pool);
        if (place === -1) return;
        if (member.pools.length === 1) {
          member.forgetSpare?.();
          this.#members.delete(name);
        } else member.pools.splice(place, 1);
        this.#askSoon();
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
    this.#forgetPause?.();
    for (const { forgetSpare } of this.#members.values()) forgetSpare?.();
    this.#members.clear();
  }

  /** Whether the gateway should hear of the pool before the lease is renewed. */
  #isNews(member: Member): boolean {
    const { terms, told } = member;
    if (told === undefined) return false;
    const { min, max, buffer, needs, has, starting, proved } = needsOf(member);
    // A lease that was not needed has ended.
    if (!this.#isLive && needs > 0) return true;
    if (needs > terms.most && needs > told.needs) return true;
    // It waits for its turn no more: another box keeps its container.
    if (needs === 0 && told.needs > 0 && terms.most === 0) return true;
    // Its turn begins.
    if (told.starting === true && starting !== true && has > 0) return true;
    // Another box waits for what this one has too much.
    if (told.has > terms.most && has < told.has) return true;
    const isSame = min === told.min && max === told.max && buffer === told.buffer;
    return !isSame || proved !== told.proved;
  }

  #askIfWorth(member: Member): void {
    if (this.#isNews(member)) this.#askSoon();
    else if (lacksBuffer(member)) this.#askForBuffer();
    if (!hasSpare(member)) {
      member.forgetSpare?.();
      member.forgetSpare = undefined;
    } else {
      member.forgetSpare ??= this.#options.later(() => {
        member.forgetSpare = undefined;
        // A gateway that did not answer is asked again after a while.
        if (this.#problem === "" && hasSpare(member)) this.#askSoon();
      }, SPARE_FOR_MS);
    }
  }

  /** At once, or at the end of the pause where a pool lacks it then. */
  #askForBuffer(): void {
    if (this.#forgetPause !== undefined) return;
    const { now, later } = this.#options;
    const leftMs = this.#bufferAskedAtMs + BUFFER_PAUSE_MS - now();
    if (leftMs <= 0) {
      this.#bufferAskedAtMs = now();
      this.#askSoon();
      return;
    }
    this.#forgetPause = later(() => {
      this.#forgetPause = undefined;
      if (this.#problem === "" && [...this.#members.values()].some(lacksBuffer)) {
        this.#askForBuffer();
      }
    }, leftMs);
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
    for (const [name, member] of this.#members) sent.set(name, [member, needsOf(member)]);
    const pools = [...sent.values()].map(([{ key, grant }, needs]): PoolUse =>
      Object.assign({}, key, needs, { grant }),
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
      if (this.#members.get(key) !== member) continue;
      const share = shares.get(key);
      member.told = told;
      member.grant = share?.grant ?? 0;
      this.#give(member, share === undefined ? NO_TERMS : { ...share, mayStart: this.#isLive });
      // Something may have changed while the request was on its way.
      if (share?.confirm === true) this.#askSoon();
      else this.#askIfWorth(member);
    }
  }

  #onEnd(): void {
    this.#isLive = false;
    for (const member of this.#members.values()) {
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
    return [...this.#members.values()].some((member) => {
      const { min, needs, has } = needsOf(member);
      return min > 0 || needs > 0 || has > 0;
    });
  }

  #give(member: Member, terms: PoolTerms): void {
    const { least, buffer, most, mayStart, proved, elsewhere } = terms;
    member.terms = { least, buffer, most, mayStart, proved, elsewhere };
    const { newest, ending } = partsOf(member);
    newest.onTerms({ ...member.terms, most: Math.max(0, most - ending) });
  }
}

function newMember(key: PoolKey, pool: LeasedPool): Member {
  const none = { told: undefined, forgetSpare: undefined };
  return { key, pools: [pool], terms: NO_TERMS, grant: 0, ...none };
}

/** The newest pool of a member, and the containers of those that end. */
function partsOf({ pools }: Member): { newest: LeasedPool; ending: number } {
  const [newest, ...others] = pools.toReversed() as Member["pools"];
  return { newest, ending: others.reduce((sum, pool) => sum + pool.needs().has, 0) };
}

function needsOf(member: Member): PoolNeeds {
  const { newest, ending } = partsOf(member);
  const needs = newest.needs();
  return { ...needs, has: needs.has + ending };
}

/** Whether it needs less than the gateway was told, and has containers that another box may be waiting for. */
function hasSpare(member: Member): boolean {
  const { needs, has } = needsOf(member);
  return member.told !== undefined && needs < Math.min(has, member.told.needs);
}

/**
 * Whether calls have come since the gateway was told, and the share may lack their buffer. Where it was told of calls, it
 * has decided which box has the buffer; else it gave this box none, as to any pool without calls.
 */
function lacksBuffer(member: Member): boolean {
  const { terms, told } = member;
  if (told === undefined) return false;
  const { max, buffer, needs } = needsOf(member);
  if (needs <= told.needs) return false;
  const spare = told.needs === 0 ? buffer : terms.buffer;
  return spare > terms.buffer || Math.min(max, needs + spare) > terms.most;
}

function textOf({ app, version, pool, parameters = "" }: PoolKey): string {
  return `${app}/${version}/${pool}/${parameters}`;
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
