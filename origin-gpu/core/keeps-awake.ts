/** Decides which calls do not count as use of their container: those of an open browser tab, mostly. Pure. */

export interface KeepsAwakeRule {
  /** Whether open WebSockets count. */
  readonly websockets: boolean;
  /** Paths whose requests do not count; a `*` at the end of one stands for the rest. */
  readonly exceptPaths: readonly string[];
}

interface AskedFor {
  /** With its query. */
  readonly target: string;
  /** Of a WebSocket. */
  readonly websocket?: string | undefined;
}

/** Whether the call takes a place at its container and leaves it idle all the same. */
export function isPassive({ target, websocket }: AskedFor, rule: KeepsAwakeRule): boolean {
  if (websocket !== undefined && !rule.websockets) return true;
  return isOfPath(target, rule.exceptPaths);
}

/** Whether a target, with its query, is of one of these paths; a `*` at the end of one stands for the rest. */
export function isOfPath(target: string, patterns: readonly string[]): boolean {
  if (patterns.length === 0) return false;
  const [path = ""] = target.split("?", 1);
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern,
  );
}
