/** Imported before a program of others: every name under localhost means this machine (RFC 6761). */
import dns from "node:dns";

const systemLookup = dns.lookup;
dns.lookup = (name, ...rest) =>
  systemLookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);
