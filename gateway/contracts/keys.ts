/** The gateway's keys, derived from `POSTERN_KEY` once per isolate. */
import { deriveGatewayKeys, type GatewayKeys } from "../../auth/keys.ts";
import type { Env } from "./env.ts";

let derived: { readonly secret: string; readonly keys: GatewayKeys } | undefined;

/** @throws TypeError where the gateway has no key, or not one of 32 bytes: nothing may open then */
export async function gatewayKeys(env: Env): Promise<GatewayKeys> {
  const secret = env.POSTERN_KEY ?? "";
  if (derived?.secret === secret) return derived.keys;
  const keys = await deriveGatewayKeys(secret);
  derived = { secret, keys };
  return keys;
}
