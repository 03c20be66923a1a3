/** A resolver over HTTPS of the test's own, on plain HTTP as loopback allows: it answers what the test says DNS has. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

import { askedName, askedType, dnsAnswer, type TestRecord } from "./dns-answers.ts";

export interface Resolver {
  readonly url: string;
  /** TXT records by name, which may change at any time. A name that is not there does not exist. */
  readonly records: Map<string, string[]>;
  /** Addresses of IPv4 by name. */
  readonly addresses: Map<string, string[]>;
  /** The names that were asked for, in order. */
  readonly asked: readonly string[];
  close(): void;
}

export async function startResolver(): Promise<Resolver> {
  const records = new Map<string, string[]>();
  const addresses = new Map<string, string[]>();
  const asked: string[] = [];
  const recordsOf = (owner: string, type: number): TestRecord[] => {
    if (type === 16) return (records.get(owner) ?? []).map((text) => ({ owner, txt: [text] }));
    if (type !== 1) return [];
    return (addresses.get(owner) ?? []).map((text) => ({ owner, a: text.split(".").map(Number) }));
  };
  const server = createServer((request, response) => {
    void bytesOf(request).then((query) => {
      const owner = askedName(query);
      asked.push(owner);
      const isThere = records.has(owner) || addresses.has(owner);
      const answer = dnsAnswer(query, recordsOf(owner, askedType(query)), isThere ? 0 : 3);
      response.setHeader("content-type", "application/dns-message");
      response.end(answer);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/dns-query`,
    records,
    addresses,
    asked,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
