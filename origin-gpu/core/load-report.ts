/**
 * ORCA load reports (https://github.com/envoyproxy/envoy/issues/6614): an app says with a response how busy it is, in the
 * header or trailer `endpoint-load-metrics`. vLLM does so for requests that ask for it. Pure.
 */

/** The most that is read of a report. */
const MAX_CHARACTERS = 4_096;

/** Of these the highest counts: each is 1 where the container can do no more. */
const SHARES: ReadonlySet<string> = new Set([
  "application_utilization",
  "cpu_utilization",
  "named_metrics.kv_cache_usage_perc",
  "named_metrics.gpu_utilization",
]);

/** Requests that wait inside the app: then it can do no more, whatever else it says. */
const QUEUES: ReadonlySet<string> = new Set(["named_metrics.num_requests_waiting"]);

/** How busy the app is, from 0 to 1; undefined for a report that does not say, or not in JSON or text. */
export function useIn(report: string): number | undefined {
  if (report.length > MAX_CHARACTERS) return undefined;
  const [, format = "", body = ""] = /^(JSON|TEXT)\s+(.*)$/s.exec(report.trim()) ?? [];
  const metrics = format === "JSON" ? jsonMetrics(body) : textMetrics(body);
  let use: number | undefined;
  for (const [name, value] of metrics) {
    if (!Number.isFinite(value) || value < 0) continue;
    if (QUEUES.has(name) && value > 0) return 1;
    if (SHARES.has(name)) use = Math.max(use ?? 0, Math.min(1, value));
  }
  return use;
}

/** `name=value, named_metrics.name=value` */
function textMetrics(text: string): [name: string, value: number][] {
  return text.split(",").flatMap((part): [string, number][] => {
    const [name = "", value = ""] = part.split("=");
    return value.trim() === "" ? [] : [[name.trim(), Number(value)]];
  });
}

/** `{"cpu_utilization": 0.3, "named_metrics": {"name": 1}}` */
function jsonMetrics(text: string): [name: string, value: number][] {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    return [];
  }
  return membersOf(report).flatMap(([name, value]): [string, number][] => {
    if (typeof value === "number") return [[name, value]];
    return membersOf(value).flatMap(([inner, number]): [string, number][] =>
      typeof number === "number" ? [[`${name}.${inner}`, number]] : [],
    );
  });
}

function membersOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
