/** Where `POSTERN_METRICS` has the counts served. */

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `PORT` or `HOST:PORT`; undefined: it is neither. */
export function parseMetricsAddress(text: string): MetricsAddress | undefined {
  const [, host, digits = ""] = /^(?:(\[[0-9a-f:]+\]|[\w.-]+):)?(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (digits === "" || port === 0 || port > 65_535) return undefined;
  return { host: host?.replace(/^\[|\]$/g, "") ?? "127.0.0.1", port };
}
