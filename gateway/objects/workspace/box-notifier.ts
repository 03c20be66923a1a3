/** Tells boxes that there is something new to ask for, once for all that one turn decides. */
import type { BoxNews } from "../../contracts/link.ts";

/** A box that does not hear asks by itself when it connects, and for its shares before its lease ends. */
export class BoxNotifier {
  readonly #tell: (box: string, news: BoxNews) => Promise<void>;
  readonly #waitUntil: (work: Promise<unknown>) => void;
  readonly #due = new Map<BoxNews, Set<string>>();

  constructor(
    tell: (box: string, news: BoxNews) => Promise<void>,
    waitUntil: (work: Promise<unknown>) => void,
  ) {
    this.#tell = tell;
    this.#waitUntil = waitUntil;
  }

  notify(box: string, news: BoxNews): void {
    if (this.#due.size === 0) this.#waitUntil(this.#tellAll());
    this.#due.set(news, (this.#due.get(news) ?? new Set()).add(box));
  }

  /** After the present turn: what is being decided must be noted whole before anybody is told. */
  async #tellAll(): Promise<void> {
    await Promise.resolve();
    const due = [...this.#due].flatMap(([news, boxes]) => [...boxes].map((box) => [box, news]));
    this.#due.clear();
    await Promise.all(
      due.map(async ([box, news]) => await this.#tell(box as string, news as BoxNews)),
    );
  }
}
