/**
 * A TCP proxy whose connections can be cut in the middle, to stand for a link that breaks on the way.
 * It forwards bytes as they are and refuses nothing; it is no HTTP proxy.
 */
import { type AddressInfo, type Socket, connect, createServer } from "node:net";

export interface CuttableProxy {
  readonly port: number;
  /** How many connections pass now. */
  readonly connections: number;
  /** Resets all connections that pass now, both ends; new ones are accepted. Returns how many. */
  cut(): number;
  /** Resets the dialling ends alone; the other ends stay open and hear nothing more. Returns how many. */
  cutDialler(): number;
  /** Stops forwarding in both directions without closing anything: a half-open link. */
  freeze(): void;
  close(): Promise<void>;
}

/** Starts a proxy on a free loopback port in front of `targetPort`. */
export async function startCuttableProxy(targetPort: number): Promise<CuttableProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (downstream) => {
    const upstream = connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true });
    upstream.setNoDelay(true);
    const pair = [downstream, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [upstream, downstream] as const]) {
      from.pipe(to);
      from.on("error", () => to.resetAndDestroy());
      from.once("close", () => pairs.delete(pair));
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const cut = () => {
    const count = pairs.size;
    for (const [downstream, upstream] of pairs) {
      downstream.resetAndDestroy();
      upstream.resetAndDestroy();
    }
    pairs.clear();
    return count;
  };
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return pairs.size;
    },
    cut,
    cutDialler: () => {
      const count = pairs.size;
      for (const [downstream, upstream] of pairs) {
        upstream.unpipe(downstream).pause();
        downstream.unpipe(upstream).resetAndDestroy();
      }
      pairs.clear();
      return count;
    },
    freeze: () => {
      for (const [downstream, upstream] of pairs) {
        downstream.unpipe(upstream).pause();
        upstream.unpipe(downstream).pause();
      }
    },
    close: async () => {
      cut();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
