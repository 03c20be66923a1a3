/**
 * The text that proves a custom domain when DNS has it. Its MAC covers workspace and domain, so that no other
 * workspace can use the record, nor another gateway. It opens nothing, and everybody may read it.
 */
import type { GatewayKeys } from "./keys.ts";
import { letters } from "./letters.ts";

/** 160 bits. */
const MAC_CHARACTERS = 32;

/** The TXT record's value, such as `postern-domain=…`. */
export async function domainProof(
  { domainProofs }: GatewayKeys,
  workspace: string,
  domain: string,
): Promise<string> {
  // No workspace and no domain has a line break.
  const text = new TextEncoder().encode(`${workspace}\n${domain}`);
  const mac = await crypto.subtle.sign("HMAC", domainProofs, text);
  return `postern-domain=${letters(new Uint8Array(mac, 0, MAC_CHARACTERS))}`;
}
