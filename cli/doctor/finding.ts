/** The findings of `postern doctor`: one line for each try, with what to change. */

/** `ok`; `failed`: something is to be changed; `warning`: it works, and may not be meant; `skipped`: nothing to try. */
type Outcome = "ok" | "failed" | "warning" | "skipped";

export interface Finding {
  /** Who would ask so: `curl`, `browser`, `websocket`. */
  readonly check: string;
  readonly outcome: Outcome;
  readonly detail: string;
  /** The change that helps; absent where nothing is to be changed. */
  readonly remedy?: string;
}

export const ok = (check: string, detail: string): Finding => ({ check, outcome: "ok", detail });

export const skipped = (check: string, detail: string): Finding => ({
  check,
  outcome: "skipped",
  detail,
});

export const failed = (check: string, detail: string, remedy: string): Finding => ({
  check,
  outcome: "failed",
  detail,
  remedy,
});

export const warning = (check: string, detail: string, remedy: string): Finding => ({
  check,
  outcome: "warning",
  detail,
  remedy,
});
