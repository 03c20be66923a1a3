/**
 * Xid events: the NVIDIA driver's errors in the kernel's log. Most of them are an app's own mistakes; `FATAL` lists
 * those after which a card can't be relied on (docs.nvidia.com, "XID Errors"). The log is read where this user may.
 */

/** An error of a card that the app did not make. */
export interface XidEvent {
  /** "0000:3B:00", without the domain's leading zeros that nvidia-smi adds and without the function. */
  readonly busId: string;
  readonly code: number;
  /** Since the machine's start. */
  readonly atS: number;
}

const FATAL: ReadonlyMap<number, string> = new Map([
  [48, "a double-bit memory error"],
  [62, "its controller halted"],
  [64, "a broken memory row could not be replaced"],
  [79, "it fell off the bus"],
  [95, "a memory error that could not be contained"],
  [119, "its firmware does not answer"],
  [120, "an error of its firmware"],
  [140, "a memory error that could not be corrected"],
]);

/** `[12345.678901] NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, …` */
const LINE = /^\[\s*(\d+\.\d+)\] NVRM: Xid \(PCI:([0-9a-f]+:[0-9a-f]+:[0-9a-f]+)[^)]*\): (\d+)/gim;

/** The fatal ones in the output of dmesg. */
export function fatalXids(dmesg: string): XidEvent[] {
  return [...dmesg.matchAll(LINE)]
    .map(([, atS, busId = "", code]) => ({
      busId: shortBusId(busId),
      code: Number(code),
      atS: Number(atS),
    }))
    .filter(({ code }) => FATAL.has(code));
}

export function describeXid({ code }: XidEvent): string {
  return `Xid ${code}: ${FATAL.get(code) ?? "an error"}`;
}

/** The common form of "00000000:3B:00.0" and "0000:3b:00". */
export function shortBusId(busId: string): string {
  const [domain = "", bus = "", device = ""] = busId.toUpperCase().split(/[:.]/);
  return `${domain.slice(-4).padStart(4, "0")}:${bus}:${device}`;
}
