/** docs/calls.md: its table of clients that are held, from the table that tells them. */
import { HELD_CLIENTS } from "../../routing/held-requests.ts";
import { replacePart, table } from "./markdown.ts";

/** Renders the page anew. @param present its text, whose prose stays */
export function callsPage(present: string): string {
  const rows = HELD_CLIENTS.map(({ name, product, reason }) => [name, `\`${product}\``, reason]);
  return replacePart(present, "held clients", table(["client", "User-Agent", "reason"], rows));
}
