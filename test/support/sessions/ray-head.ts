/** Loaded into a box's agent: the name ray-head means this box's Ray head, at the address in RAY_HEAD. */
import dns from "node:dns";

const system = dns.lookup;
const lookup = (name: string, ...rest: unknown[]): void => {
  const host = name === "ray-head" ? (process.env["RAY_HEAD"] ?? name) : name;
  (system as (...all: unknown[]) => void)(host, ...rest);
};
dns.lookup = lookup as typeof dns.lookup;
