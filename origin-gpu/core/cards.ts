/** The GPUs of a box, as its arbitration sees them. gpus/ finds them. */

/** One GPU. */
export interface Card {
  /** As `CUDA_VISIBLE_DEVICES` names it: its UUID, or its number where it has none. */
  readonly id: string;
  /** As its maker calls it: "NVIDIA H100 80GB HBM3". */
  readonly name: string;
  /** 0 where it is unknown: such a card is given away whole alone. */
  readonly memoryBytes: number;
}

/** A card of the box that is out, and may come back. */
export interface LostCard extends Card {
  /** Why it was taken out, in words. */
  readonly problem: string;
}

/** A card of the box, in use or out. */
export type BoxCard = Card | LostCard;

export function isLost(card: BoxCard): card is LostCard {
  return "problem" in card;
}

/** So many cards, of one kind or of any. */
export interface CardChoice {
  readonly kind?: string;
  readonly count: number;
}

/**
 * Whether a card is of a kind: each word of the kind is a word of the card's name. "H100" and "h100-80GB" match
 * "NVIDIA H100 80GB HBM3", and "A10" does not match "NVIDIA A100-SXM4-80GB".
 */
export function isOfKind({ name }: Card, kind: string | undefined): boolean {
  if (kind === undefined) return true;
  const words = new Set(wordsOf(name));
  return wordsOf(kind).every((word) => words.has(word));
}

function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
}
