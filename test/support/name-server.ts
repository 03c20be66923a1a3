/**
 * A real name server on loopback: BIND with one zone, `test`, which answers over UDP, and dnsdist before it, which
 * answers over HTTPS' inner protocol (RFC 8484) on plain HTTP/1.1. BIND's own speaks HTTP/2 alone, and workerd does not.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { dnsQuestion, parseDnsAnswer } from "../../routing/dns-message.ts";
import { ManagedProcess } from "./processes.ts";
import { freePort, temporaryDirectory } from "./temporary.ts";

export interface NameServer {
  /** The resolver for `--dns-over-https`. */
  readonly url: string;
  /** `HOST:PORT` of the one over UDP. */
  readonly address: string;
  /** Sets all TXT records, by their full names; resolves when both servers answer by them. */
  setTexts(texts: ReadonlyMap<string, readonly string[]>): Promise<void>;
  stop(): Promise<void>;
}

const DNS_MESSAGE = "application/dns-message";

/** @param hosts names that have this machine's address; a star stands for what DNS means by it */
export async function startNameServer(hosts: readonly string[]): Promise<NameServer> {
  const directory = temporaryDirectory();
  const [dnsPort, httpPort] = [await freePort(), await freePort()];
  const at = (file: string): string => join(directory, file);
  let serial = 0;
  const writeZone = (texts: ReadonlyMap<string, readonly string[]>): void => {
    serial += 1;
    const records = [
      `@ IN SOA ns.test. root.test. ${serial} 60 60 60 0`,
      "@ IN NS ns.test.",
      ...["ns.test", ...hosts].map((host) => `${host}. IN A 127.0.0.1`),
      ...[...texts].flatMap(([name, values]) =>
        values.map((value) => `${name}. IN TXT ${JSON.stringify(value)}`),
      ),
      // Tells which zone is served.
      `serial.test. IN TXT "${serial}"`,
    ];
    writeFileSync(at("zone"), `$TTL 0\n${records.join("\n")}\n`);
  };
  writeZone(new Map());
  writeFileSync(
    at("named.conf"),
    `options {
      directory "${directory}"; pid-file none; session-keyfile none; recursion no;
      listen-on port ${dnsPort} { 127.0.0.1; }; listen-on-v6 { none; };
    };
    controls {};
    zone "test" { type primary; file "zone"; };\n`,
  );
  writeFileSync(
    at("dnsdist.conf"),
    `setSecurityPollSuffix("")
    setLocal("127.0.0.1:${await freePort()}")
    newServer({address="127.0.0.1:${dnsPort}", checkName="test."})
    addDOHLocal("127.0.0.1:${httpPort}", nil, nil, "/dns-query")\n`,
  );
  const named = new ManagedProcess(["/usr/sbin/named", "-g", "-c", at("named.conf")]);
  await named.waitForErrorOutput(/ running$/m);
  const dnsdist = new ManagedProcess(
    ["/usr/bin/dnsdist", "--supervised", "--disable-syslog", "-C", at("dnsdist.conf")],
    { cwd: directory },
  );
  const url = `http://127.0.0.1:${httpPort}/dns-query`;
  const untilServed = async (): Promise<void> => {
    const wanted = String(serial);
    const deadline = performance.now() + 30_000;
    for (;;) {
      const [served] = await textsAt(url, "serial.test").catch(() => []);
      if (served === wanted) return;
      if (performance.now() > deadline) throw new Error(`no zone:\n${named.stderr.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await untilServed();
  return {
    url,
    address: `127.0.0.1:${dnsPort}`,
    async setTexts(texts) {
      writeZone(texts);
      process.kill(named.pid, "SIGHUP");
      await untilServed();
    },
    async stop() {
      await Promise.all([named.stop("SIGTERM"), dnsdist.stop("SIGTERM")]);
    },
  };
}

async function textsAt(url: string, name: string): Promise<readonly string[]> {
  const response = await fetch(url, {
    method: "POST",
    headers: { accept: DNS_MESSAGE, "content-type": DNS_MESSAGE },
    body: dnsQuestion(name, "TXT"),
  });
  const answer = parseDnsAnswer(new Uint8Array(await response.arrayBuffer()), name, "TXT");
  return answer.ok && answer.value.kind === "values" ? answer.value.values : [];
}
