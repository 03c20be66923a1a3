/**
 * The cards of this box: declared by `POSTERN_GPUS`, or found by nvidia-smi and looked at from time to time. A sick card
 * is taken out, and put back when it works again; the log says both. A look that tells nothing changes nothing.
 */
import { uptime } from "node:os";
import type { Observer } from "../../base/observer.ts";
import { ok, type Result } from "../../base/result.ts";
import { systemTimer, type Timer } from "../../base/runtime/timer.ts";
import { GIB, SECOND_MS } from "../../base/units.ts";
import type { BoxCard, Card } from "../core/cards.ts";
import { afterLook, type KnownCard } from "./card-health.ts";
import { parseDeclaredCards } from "./declared-cards.ts";
import { NvidiaSmi, type ReportedCard } from "./nvidia-smi.ts";
import { programRunner, type RunProgram } from "./run-program.ts";
import { fatalXids, type XidEvent } from "./xid.ts";

/** nvidia-smi takes a second or two of a CPU where no process keeps the driver loaded. */
const LOOK_INTERVAL_MS = 30 * SECOND_MS;

/** nvidia-smi answers in some seconds at a cold driver; one that takes longer hangs. */
const PROGRAM_LIMIT_MS = 20 * SECOND_MS;

export interface CardWatchOptions {
  readonly observer: Observer;
  /** All cards that were ever seen, whenever one of them is taken out or put back. */
  readonly onCards: (cards: readonly BoxCard[]) => void;
  /** `POSTERN_GPUS` and `CUDA_VISIBLE_DEVICES` of the agent. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly run?: RunProgram;
  readonly timer?: Timer;
  readonly uptimeS?: () => number;
}

export class CardWatch {
  /** Settles when the box's cards are known. */
  readonly known: Promise<void>;
  readonly #options: CardWatchOptions;
  readonly #run: RunProgram;
  readonly #smi: NvidiaSmi;
  #cards: readonly KnownCard[] = [];
  #isKnown = false;
  #isSilent = false;
  #isClosed = false;
  #cancel = (): void => undefined;

  private constructor(options: CardWatchOptions, declared: readonly Card[] | undefined) {
    this.#options = options;
    this.#run = options.run ?? programRunner(PROGRAM_LIMIT_MS);
    this.#smi = new NvidiaSmi(this.#run);
    if (declared === undefined) {
      this.known = this.#look();
      return;
    }
    this.known = Promise.resolve();
    options.onCards(declared);
  }

  /** Begins to watch. @returns the reason, where `POSTERN_GPUS` is wrong */
  static begin(options: CardWatchOptions): Result<CardWatch, string> {
    const { POSTERN_GPUS: text = "" } = options.variables;
    if (text === "") return ok(new CardWatch(options, undefined));
    const declared = parseDeclaredCards(text);
    return declared.ok ? ok(new CardWatch(options, declared.value)) : declared;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const answer = await this.#smi.query(this.#cards.map(({ card }) => card.id));
    if (this.#isClosed) return;
    if (!answer.ok && answer.error.isAbsent && this.#cards.length === 0) {
      // A box without NVIDIA's driver is not asked again.
      this.#options.onCards([]);
      return;
    }
    if (answer.ok) {
      const xids = answer.value.length === 0 ? [] : await this.#xids();
      if (this.#isClosed) return;
      const { uptimeS = uptime } = this.#options;
      this.#update(
        afterLook(this.#cards, { reported: this.#allowed(answer.value), xids, uptimeS: uptimeS() }),
      );
    } else {
      this.#notifyOfSilence(answer.error.reason);
    }
    this.#isSilent = !answer.ok;
    const { timer = systemTimer } = this.#options;
    this.#cancel = timer(() => void this.#look(), LOOK_INTERVAL_MS);
  }

  async #xids(): Promise<readonly XidEvent[]> {
    const answer = await this.#run("dmesg", []);
    return typeof answer === "string" || answer.exitCode !== 0 ? [] : fatalXids(answer.stdout);
  }

  /** The agent's own `CUDA_VISIBLE_DEVICES` says which cards it may give away. */
  #allowed(reported: readonly ReportedCard[]): readonly ReportedCard[] {
    const { CUDA_VISIBLE_DEVICES: text } = this.#options.variables;
    if (text === undefined) return reported;
    const devices = text.split(",").map((device) => device.trim());
    return reported.filter(({ card, index }) =>
      devices.some((device) => device === index || (device !== "" && card.id.startsWith(device))),
    );
  }

  #update(cards: readonly KnownCard[]): void {
    const before = new Map(this.#cards.map((known) => [known.card.id, known]));
    const isFirst = !this.#isKnown;
    this.#isKnown = true;
    this.#cards = cards;
    const { observer, onCards } = this.#options;
    const working = cards.filter(({ problem }) => problem === undefined).map(({ card }) => card);
    if (before.size === 0 && working.length > 0)
      observer.notice(`postern: GPUs: ${describe(working)}`);
    let isChanged = isFirst;
    for (const { card, problem } of cards) {
      const known = before.get(card.id);
      if (known !== undefined && known.problem === problem) continue;
      isChanged ||= known === undefined || known.problem === undefined || problem === undefined;
      if (known === undefined && problem === undefined) continue;
      this.#tell(card, problem);
    }
    if (isChanged) onCards(cards.map(withProblem));
  }

  #tell({ id, name }: Card, problem: string | undefined): void {
    const { observer } = this.#options;
    const [from, to] = problem === undefined ? ["out", "working"] : ["working", "out"];
    const reason = problem ?? "it works again";
    observer.emit("gpu.state", { gpu: id, from, to, reason });
    observer.notice(
      problem === undefined
        ? `postern: GPU ${id} (${name}) works again and is used`
        : `postern: GPU ${id} (${name}) is taken out: ${problem}`,
    );
  }

  #notifyOfSilence(reason: string): void {
    if (this.#isSilent) return;
    const { notice } = this.#options.observer;
    notice(
      `postern: nvidia-smi tells nothing of the box's GPUs, which stay as they were: ${reason}`,
    );
  }
}

function withProblem({ card, problem }: KnownCard): BoxCard {
  return problem === undefined ? card : { ...card, problem };
}

/** "2 × NVIDIA L4 (22.5 GiB)" for each kind. */
function describe(cards: readonly Card[]): string {
  const counts = new Map<string, number>();
  for (const { name, memoryBytes } of cards) {
    const kind = `${name} (${(memoryBytes / GIB).toFixed(1)} GiB)`;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${count} × ${kind}`).join(", ");
}
