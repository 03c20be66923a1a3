/**
 * A network of its own behind a router, whose packets a test drops: neither end hears of it, and dials are lost too.
 * Made of Linux network namespaces, for which one has to be root.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The network of this machine's end, and the far one: RFC 2544 keeps both for tests, and no machine has them. */
const NEAR = "198.18.201";
const FAR = "198.19.201";

const NAMES_OF_NAMESPACES = "/etc/netns";

export interface FarNetwork {
  /** In front of a command that runs there. */
  readonly prefix: readonly ["/sbin/ip", "netns", "exec", string];
  /** From now on no packet passes in either direction. */
  drop(): void;
  pass(): void;
  close(): void;
}

/** @param host the name under which this machine is known there; undefined where the machine does not let us */
export function openFarNetwork(host: string): FarNetwork | undefined {
  const router = `postern-router-${process.pid}`;
  const far = `postern-far-${process.pid}`;
  const [near, nearRouter, farRouter, end] = ["n", "r", "f", "e"].map(
    (letter) => `pt${letter}${process.pid}`,
  ) as [string, string, string, string];
  const close = (): void => {
    // What stands in a namespace goes with it, the other ends of pairs too.
    for (const name of [router, far]) tryIp("netns", "del", name);
    rmSync(join(NAMES_OF_NAMESPACES, far), { recursive: true, force: true });
  };
  try {
    for (const name of [router, far]) ip("netns", "add", name);
    ip("link", "add", near, "type", "veth", "peer", "name", nearRouter, "netns", router);
    ip("-n", router, "link", "add", farRouter, "type", "veth", "peer", "name", end, "netns", far);
    ip("addr", "add", `${NEAR}.1/24`, "dev", near);
    ip("-n", router, "addr", "add", `${NEAR}.2/24`, "dev", nearRouter);
    ip("-n", router, "addr", "add", `${FAR}.2/24`, "dev", farRouter);
    ip("-n", far, "addr", "add", `${FAR}.1/24`, "dev", end);
    ip("link", "set", near, "up");
    for (const device of [nearRouter, farRouter]) ip("-n", router, "link", "set", device, "up");
    for (const device of ["lo", end]) ip("-n", far, "link", "set", device, "up");
    ip("route", "add", `${FAR}.0/24`, "via", `${NEAR}.2`, "dev", near);
    ip("-n", far, "route", "add", "default", "via", `${FAR}.2`);
    mkdirSync(join(NAMES_OF_NAMESPACES, far), { recursive: true });
    const names = `127.0.0.1 localhost\n${NEAR}.1 ${host}\n`;
    writeFileSync(join(NAMES_OF_NAMESPACES, far, "hosts"), names);
  } catch {
    close();
    return undefined;
  }
  const forward = (value: "0" | "1"): void => {
    const script = 'echo "$0" > /proc/sys/net/ipv4/ip_forward';
    ip("netns", "exec", router, "/bin/sh", "-c", script, value);
  };
  forward("1");
  return {
    prefix: ["/sbin/ip", "netns", "exec", far],
    drop: () => forward("0"),
    pass: () => forward("1"),
    close,
  };
}

function ip(...args: readonly string[]): void {
  execFileSync("/sbin/ip", args, { stdio: "ignore" });
}

function tryIp(...args: readonly string[]): void {
  try {
    ip(...args);
  } catch {
    // It was not made.
  }
}
