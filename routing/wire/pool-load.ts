/**
 * The load of an endpoint's pool on one box, as its agent tells it. The gateway asks for it only where several boxes
 * serve the endpoint (`RequestHead.mayRefuse`).
 */
import * as z from "zod";

const COUNT = z.int().min(0);

export const POOL_LOAD = z.object({
  /** Calls that containers work on. */
  running: COUNT,
  /** Calls that wait for a container. */
  waiting: COUNT,
  /** Calls that ready containers can take at once, besides those that wait. */
  room: COUNT,
  /** Calls that containers can take which are being started. */
  coming: COUNT,
  /** Another container would wait for cards, or for a port, that others use: said by a box without room. */
  blocked: z.boolean().exactOptional(),
  /** Calls more than they have that containers are busy with by their own account (ORCA). Absent where none says so. */
  reported: COUNT.exactOptional(),
  /** Sessions that live on the box's containers. Absent where the endpoint has no affinity. */
  sessions: COUNT.exactOptional(),
});

export type PoolLoad = z.output<typeof POOL_LOAD>;

/** The same check by hand, for heads: a schema doubles what checking costs. */
export function isPoolLoad(value: unknown): value is PoolLoad {
  if (typeof value !== "object" || value === null) return false;
  const load = value as Partial<Record<string, unknown>>;
  const { running, waiting, room, coming, blocked = false, reported = 0, sessions = 0 } = load;
  if (typeof blocked !== "boolean") return false;
  return [running, waiting, room, coming, reported, sessions].every(isCount);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
