/** Reads `POSTERN_GPUS`: the cards of a box where nvidia-smi does not tell them, or not as they are to be used. */
import { err, ok, type Result } from "../../base/result.ts";
import { GPU_MEMORY } from "../config/keys/gpus.ts";
import { resolveMemory } from "../config/resolve-pool.ts";
import type { Card } from "../core/cards.ts";

const FORM =
  'must be "none", or NAME, NAME:MEMORY or NAME:MEMORY@DEVICE with commas between them, such as "H100:80GiB,H100:80GiB"';

const MOST_CARDS = 64;

/** Words that stand for no card and for each. One of that name would be a mistake, such as in "none,H100". */
const NO_NAME = /^(?:none|any)$/i;

/** A name, its memory, and the text that `CUDA_VISIBLE_DEVICES` names it by. */
const ENTRY =
  /^(?<name>[^:@]*[A-Za-z0-9][^:@]*)(?::(?<memory>[^@]+))?(?:@(?<device>[A-Za-z0-9/_-]+))?$/;

/** A card without a device has its number in the list. @returns the reason, with the value, where it is wrong */
export function parseDeclaredCards(text: string): Result<readonly Card[], string> {
  if (text.trim() === "none") return ok([]);
  const refuse = (entry: string, reason: string) => err(`POSTERN_GPUS: "${entry}": ${reason}`);
  const cards = new Map<string, Card>();
  const entries = text.split(",").map((entry) => entry.trim());
  if (entries.length > MOST_CARDS) return refuse(text, `more than ${MOST_CARDS} cards`);
  for (const [index, entry] of entries.entries()) {
    const { name, memory, device: id = String(index) } = ENTRY.exec(entry)?.groups ?? {};
    if (name === undefined || NO_NAME.test(name.trim())) return refuse(entry, FORM);
    if (memory !== undefined && !GPU_MEMORY.test(memory)) return refuse(entry, FORM);
    if (cards.has(id)) return refuse(entry, `device ${id} is declared twice`);
    cards.set(id, { id, name: name.trim(), memoryBytes: resolveMemory(memory) ?? 0 });
  }
  return ok([...cards.values()]);
}
