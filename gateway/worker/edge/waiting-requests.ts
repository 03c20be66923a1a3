/**
 * The requests that wait for a response, by their clients' networks and by their workspaces, where no front bounds
 * connections. A request counts from when it turns out to take long, so that quick ones cost a look-up. Past the bounds
 * further requests are refused before they reach a box. Boxes' own requests never come here: no number of clients keeps
 * a box from dialling.
 *
 * Requests from this machine are not counted, nor are a trusted proxy's that name no client.
 */
import { NetworkCounts } from "../../../routing/client-network.ts";
import { Counts, mayHaveOneMore, type Uncount } from "../../../routing/counts.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { Env } from "../../contracts/env.ts";
import { isShared } from "./client-address.ts";

/** Of one network. Each takes some tens of kilobytes in workerd. */
const MAX_OF_ONE = 1_000;

interface WaitingLimits {
  readonly max: number;
  readonly maxOfOne: number;
}

export class WaitingRequests {
  readonly #limits: WaitingLimits;
  readonly #networks = new NetworkCounts();
  readonly #workspaces = new Counts();

  constructor(limits: WaitingLimits) {
    this.#limits = limits;
  }

  /** Why one more request of this client to this workspace may not wait; undefined where it may. */
  refusalFor(address: string, workspace: string): Refusal | undefined {
    const { total } = this.#networks;
    if (total === 0) return undefined;
    const { max, maxOfOne } = this.#limits;
    if (total >= max) {
      return { code: "unavailable", detail: `${max} requests wait at this gateway already` };
    }
    if (this.#networks.of(address) >= maxOfOne) {
      return { code: "rate_limited", detail: `${maxOfOne} requests of your address wait already` };
    }
    const own = this.#workspaces.of(workspace);
    if (mayHaveOneMore(own, total, max)) return undefined;
    return { code: "unavailable", detail: `${own} requests to this workspace wait already` };
  }

  /** Counts a request that waits, also past the limits: it has begun. */
  add(address: string, workspace: string): Uncount {
    const ends = [this.#networks.add(address), this.#workspaces.add(workspace)];
    return () => {
      for (const end of ends) end();
    };
  }
}

let counted: { text: string; requests: WaitingRequests } | undefined;

/** Where this client's requests count; undefined where nothing bounds them. */
export function waitingRequests(env: Env, address: string): WaitingRequests | undefined {
  const text = env.POSTERN_MAX_WAITING;
  if (!text || isShared(address, env)) return undefined;
  if (counted?.text !== text) {
    const max = Number(text);
    const limits = { max, maxOfOne: Math.min(MAX_OF_ONE, Math.ceil(max / 2)) };
    counted = { text, requests: new WaitingRequests(limits) };
  }
  return counted.requests;
}
