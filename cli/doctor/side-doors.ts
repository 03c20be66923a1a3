/** Ports of the same machine by which an app answers past its lock: apps listen to all addresses by default. */
import { connectionProblem } from "./reach.ts";
import { failed, type Finding, ok, skipped } from "./finding.ts";
import type { Server } from "./exchange.ts";

/** Where vLLM, ComfyUI, Ollama, Gradio, Jupyter, Streamlit and others listen. */
const APP_PORTS = [3000, 5000, 7860, 8000, 8080, 8188, 8501, 8888, 11_434];

const TIMEOUT_MS = 1_500;

export async function checkSideDoors(
  { url, address }: Server,
  ports: readonly number[] = APP_PORTS,
): Promise<Finding> {
  if (/^(127\.|::1$)/.test(address)) {
    return skipped("side doors", "the address is this machine's own: nobody else reaches it");
  }
  const others = ports.filter((port) => String(port) !== url.port);
  const problems = await Promise.all(
    others.map(async (port) => await connectionProblem(address, port, TIMEOUT_MS)),
  );
  const open = others.filter((_port, index) => problems[index] === undefined);
  if (open.length === 0)
    return ok("side doors", "no usual port of an app is open beside the gateway");
  return failed(
    "side doors",
    `${address} also listens on ${open.join(", ")}: an app there answers past the lock`,
    "let the app listen to 127.0.0.1 alone (--host 127.0.0.1), or close the port in the firewall",
  );
}
