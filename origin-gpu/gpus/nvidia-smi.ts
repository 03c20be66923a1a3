/**
 * The cards that nvidia-smi finds, and what it says of each one's health. It fails as a whole when one card is lost;
 * then each card is asked for by itself. An older driver does not know each field, so the newer ones are left out there.
 */
import { err, ok, type Result } from "../../base/result.ts";
import { MIB } from "../../base/units.ts";
import type { Card } from "../core/cards.ts";
import type { ProgramOutput, RunProgram } from "./run-program.ts";

/** A card as nvidia-smi describes it. */
export interface ReportedCard {
  readonly card: Card;
  /** Its number among the box's cards, in the order of the bus. */
  readonly index: string;
  /** "00000000:3B:00.0" */
  readonly busId: string;
  /** Memory errors that could not be corrected, since the driver took the card; undefined where it counts none. */
  readonly uncorrectedErrors: number | undefined;
  /** Why no container may have it, in words. */
  readonly problem: string | undefined;
}

/** nvidia-smi said nothing of any card. */
export interface CardQueryFailure {
  /** The box has none. */
  readonly isAbsent: boolean;
  readonly reason: string;
}

const BASE_FIELDS = ["index", "uuid", "name", "memory.total", "pci.bus_id"] as const;
const HEALTH_FIELDS = ["ecc.errors.uncorrected.volatile.total", "mig.mode.current"] as const;
/** Since driver 560. */
const RECOVERY_FIELDS = ["gpu_recovery_action"] as const;

const FIELD_SETS = [
  [...BASE_FIELDS, ...HEALTH_FIELDS, ...RECOVERY_FIELDS],
  [...BASE_FIELDS, ...HEALTH_FIELDS],
  BASE_FIELDS,
] as const;

/** NVML_ERROR_NOT_FOUND: there is no card of this number. */
const NOT_FOUND = 6;
const NO_DEVICES = /No devices were found/i;
const UNKNOWN_FIELD = /is not a valid field to query/i;
/** In place of a field's value. */
const LOST = /\b(?:GPU is lost|Unknown Error|ERR!|GPU requires reset)/i;

/** Boxes have 16 cards at most; asked one by one only where a card is lost before any was known. */
const MOST_INDEXES = 16;

/** Asks nvidia-smi; remembers which fields this box's driver knows. */
export class NvidiaSmi {
  readonly #run: RunProgram;
  #fields: readonly string[] = FIELD_SETS[0];

  constructor(run: RunProgram) {
    this.#run = run;
  }

  /** @param known ids of cards, to be asked for one by one where asking for all fails */
  async query(
    known: readonly string[],
  ): Promise<Result<readonly ReportedCard[], CardQueryFailure>> {
    const answer = await this.#ask([]);
    if (answer === "absent") return err({ isAbsent: true, reason: "there is no nvidia-smi" });
    if (answer === "late") return err({ isAbsent: false, reason: "it did not answer in time" });
    if (answer.exitCode === 0) return ok(this.#parse(answer.stdout));
    if (isEmpty(answer)) return ok([]);
    const single = await this.#queryEach(known);
    if (single.length > 0) return ok(single);
    return err({ isAbsent: false, reason: firstLine(answer) });
  }

  async #queryEach(known: readonly string[]): Promise<ReportedCard[]> {
    const found: ReportedCard[] = [];
    const indexes = Array.from({ length: MOST_INDEXES }, (_, index) => String(index));
    for (const id of known.length > 0 ? known : indexes) {
      const answer = await this.#ask([`--id=${id}`]);
      if (typeof answer === "string") continue;
      if (answer.exitCode === 0) found.push(...this.#parse(answer.stdout));
      else if (known.length === 0 && (answer.exitCode === NOT_FOUND || isEmpty(answer))) break;
    }
    return found;
  }

  async #ask(args: readonly string[]): ReturnType<RunProgram> {
    for (const fields of FIELD_SETS.slice(FIELD_SETS.findIndex((each) => each === this.#fields))) {
      this.#fields = fields;
      const query = [`--query-gpu=${fields.join(",")}`, "--format=csv,noheader,nounits"];
      const answer = await this.#run("nvidia-smi", [...args, ...query]);
      if (typeof answer === "string" || answer.exitCode === 0) return answer;
      if (!UNKNOWN_FIELD.test(answer.stdout + answer.stderr)) return answer;
    }
    return "absent";
  }

  #parse(stdout: string): ReportedCard[] {
    return stdout
      .split("\n")
      .filter((line) => line.trim() !== "")
      .flatMap((line) => {
        const values = line.split(",").map((value) => value.trim());
        return reported(new Map(this.#fields.map((field, index) => [field, values[index] ?? ""])));
      });
  }
}

/** A card without a UUID that can be read is none that could be told apart. */
function reported(values: ReadonlyMap<string, string>): ReportedCard[] {
  const value = (field: string) => values.get(field) ?? "";
  const id = value("uuid");
  if (!id.startsWith("GPU-")) return [];
  return [
    {
      card: { id, name: value("name"), memoryBytes: (numberIn(value("memory.total")) ?? 0) * MIB },
      index: value("index"),
      busId: value("pci.bus_id"),
      uncorrectedErrors: numberIn(value("ecc.errors.uncorrected.volatile.total")),
      problem: problemIn(values),
    },
  ];
}

function problemIn(values: ReadonlyMap<string, string>): string | undefined {
  const lost = [...values.values()].find((value) => LOST.test(value));
  if (lost !== undefined) return `nvidia-smi says "${lost.replaceAll(/[[\]]/g, "")}"`;
  const action = values.get("gpu_recovery_action") ?? "None";
  if (/^(?:reset|reboot|drain)/i.test(action)) return `its driver asks for "${action}"`;
  if (values.get("mig.mode.current") === "Enabled") {
    return "it is divided by MIG; POSTERN_GPUS declares its parts";
  }
  return undefined;
}

/** "[N/A]" and "[Not Supported]" are no numbers. */
function numberIn(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function isEmpty({ stdout, stderr }: ProgramOutput): boolean {
  return NO_DEVICES.test(stdout + stderr);
}

function firstLine({ exitCode, stdout, stderr }: ProgramOutput): string {
  const [line = ""] = `${stderr}\n${stdout}`.trim().split("\n");
  return line === "" ? `it exited with ${exitCode}` : line;
}
