/** Looks into the Worker of a gateway by workerd's inspector. */
import { fileURLToPath } from "node:url";

const PRELOAD = fileURLToPath(new URL("inspected-workerd.ts", import.meta.url));

/** Variables of a gateway whose workerd has an inspector on this port. */
export function inspectorAt(port: number): NodeJS.ProcessEnv {
  return { INSPECTOR_PORT: `${port}`, NODE_OPTIONS: `--import=${PRELOAD}` };
}

interface Reply {
  readonly id?: number;
  readonly result?: { readonly usedSize?: number };
}

/** Bytes that the Worker and its objects hold in V8's heap, when all garbage has been collected. */
export async function workerHeapBytes(port: number): Promise<number> {
  const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const [target] = targets as { webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? "");
  const usedSize = Promise.withResolvers<number>();
  socket.addEventListener("error", () => usedSize.reject(new Error("the inspector is gone")));
  socket.addEventListener("message", ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as Reply;
    if (id === QUESTIONS.length) usedSize.resolve(result?.usedSize ?? Number.NaN);
  });
  socket.addEventListener("open", () => {
    QUESTIONS.forEach((method, index) => socket.send(JSON.stringify({ id: index + 1, method })));
  });
  try {
    return await usedSize.promise;
  } finally {
    socket.close();
  }
}

/** Answered in turn. What the first collection finalizes, the second one frees. */
const QUESTIONS = [
  "HeapProfiler.enable",
  "HeapProfiler.collectGarbage",
  "HeapProfiler.collectGarbage",
  "Runtime.getHeapUsage",
] as const;
