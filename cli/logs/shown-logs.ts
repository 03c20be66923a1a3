/** Shows lines of logs at a terminal: how they are printed, and when that ends. */
import { printNotice } from "../output.ts";
import { listenForStop, type StopSignals } from "../stop-signals.ts";
import type { Following } from "./follow-logs.ts";
import { type LineForm, shownLine } from "./log-line.ts";
import { LogPrinter } from "./printer.ts";

/** Prints until Ctrl-C, or until nobody reads stdout any more. */
export function printedLogs(form: LineForm, stop: StopSignals = listenForStop()): Following {
  const printer = new LogPrinter();
  const stopping = new AbortController();
  void stop.asked.then(() => stopping.abort());
  void stop.insisted.then(() => process.exit(1));
  return {
    print: async (line) => await printer.print(shownLine(line, form)),
    notice: printNotice,
    signal: AbortSignal.any([stopping.signal, printer.closed]),
  };
}
