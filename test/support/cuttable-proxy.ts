/**
 * A TCP proxy whose connections can be cut in the middle, to stand for a link that breaks on the way.
 * It forwards bytes as they are and refuses nothing; it is no HTTP proxy.
 */
import { type AddressInfo, type Socket, connect, createServer } from "node:net";

/** Picks connections by their first line: what the diallers of tests ask for. */
export type Which = (requestLine: string) => boolean;

export interface CuttableProxy {
  readonly port: number;
  /** How many connections pass now. */
  readonly connections: number;
  /** How many of these pass now. */
  passing(which: Which): number;
  /** The first lines of all connections that have come so far, in their order. */
  readonly requestLines: readonly string[];
  /** Resets connections that pass now, both ends; new ones are accepted. Returns how many. */
  cut(which?: Which): number;
  /** From now on resets these connections as soon as they say what they want; by default none. */
  refuse(which?: Which): void;
  /** Resets the dialling ends alone; the other ends stay open and hear nothing more. Returns how many. */
  cutDialler(): number;
  /** Stops forwarding in both directions without closing anything: a half-open link. */
  freeze(): void;
  /**
   * From now on holds what comes to the dialling ends of these connections, or from them, until these are cut.
   * @returns says how many bytes are held, of at most 16 KiB a connection
   */
  hold(what: "to" | "from", which: Which): () => number;
  close(): Promise<void>;
}

const ALL: Which = () => true;
const NONE: Which = () => false;

/** Starts a proxy on a free loopback port in front of `targetPort`. */
export async function startCuttableProxy(targetPort: number): Promise<CuttableProxy> {
  /** Both ends of each connection, with its first line once it has come. */
  const pairs = new Map<readonly [Socket, Socket], string>();
  const requestLines: string[] = [];
  let refused: Which = NONE;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (downstream) => {
    const upstream = connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true });
    upstream.setNoDelay(true);
    const pair = [downstream, upstream] as const;
    pairs.set(pair, "");
    for (const [from, to] of [pair, [upstream, downstream] as const]) {
      from.on("error", () => to.resetAndDestroy());
      from.once("close", () => pairs.delete(pair));
    }
    upstream.pipe(downstream);
    downstream.once("data", (first: Buffer) => {
      const [line = ""] = first.toString("latin1").split("\r\n", 1);
      requestLines.push(line);
      if (refused(line)) {
        reset(pair);
        return;
      }
      pairs.set(pair, line);
      upstream.write(first);
      downstream.pipe(upstream);
    });
    // A peer that ends without a word: there is nothing to pipe, but its end is passed on.
    downstream.once("end", () => upstream.end());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const reset = (pair: readonly [Socket, Socket]) => {
    for (const end of pair) end.resetAndDestroy();
    pairs.delete(pair);
  };
  const cut = (which: Which = ALL) => {
    const chosen = [...pairs].filter(([, line]) => which(line));
    for (const [pair] of chosen) reset(pair);
    return chosen.length;
  };
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return pairs.size;
    },
    passing: (which) => [...pairs.values()].filter(which).length,
    requestLines,
    cut,
    refuse: (which = NONE) => {
      refused = which;
    },
    cutDialler: () => {
      const count = pairs.size;
      for (const [downstream, upstream] of pairs.keys()) {
        upstream.unpipe(downstream).pause();
        downstream.unpipe(upstream).resetAndDestroy();
      }
      pairs.clear();
      return count;
    },
    freeze: () => {
      for (const [downstream, upstream] of pairs.keys()) {
        downstream.unpipe(upstream).pause();
        upstream.unpipe(downstream).pause();
      }
    },
    hold: (what, which) => {
      const held = [...pairs].flatMap(([[downstream, upstream], line]) => {
        if (!which(line)) return [];
        const [from, to] = what === "to" ? [upstream, downstream] : [downstream, upstream];
        from.unpipe(to).pause();
        return [from];
      });
      return () => held.reduce((bytes, from) => bytes + from.readableLength, 0);
    },
    close: async () => {
      cut();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
