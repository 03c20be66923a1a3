/** Whether a URL is the gateway's own address, which is that of its API and its dashboard, and no endpoint's. */
import { answererOf, type Server, type TriedAnswer } from "./exchange.ts";
import { ask } from "./patient.ts";

/**
 * Asks for the gateway's health, where an answer is not an app's.
 * @param headers of the request, such as a Host
 */
export async function isOwnAddress(
  answer: TriedAnswer,
  server: Server,
  headers: Readonly<Record<string, string>> = {},
): Promise<boolean> {
  if (answererOf(answer).by === "app") return false;
  const health = await ask({ server, key: undefined }, { path: "/api/v1/health", headers });
  if (health instanceof Error || health.status !== 200) return false;
  const isGateway = health.headers["x-request-id"] !== undefined;
  return isGateway && answererOf(health).by !== "app" && health.text.includes('"status":"ok"');
}
