/**
 * The states of a container and the events that lead from one to the next: one table, which core/pool.ts alone applies.
 * A container that failed to start is `stopping` until its process is gone; core/start-backoff.ts remembers the failure.
 */

export type ContainerState =
  /** It waits for its GPUs or its port, and has no process. */
  | "claiming"
  /** It has them, and its Python environment is made. */
  | "preparing"
  /** Its process begins or wakes, and does not serve yet. */
  | "starting"
  /** It takes calls. */
  | "ready"
  /** Its process has given its GPUs back, and takes no calls. */
  | "asleep"
  /** It takes no more calls, and finishes those that it has. */
  | "draining"
  /** It is asked to end. */
  | "stopping"
  /** It has outlived SIGKILL, and keeps its GPUs and its port. */
  | "stuck"
  /** Nothing of it runs any more. */
  | "gone";

export type ContainerEvent =
  /** The box has given it what it claims. */
  | "granted"
  /** It is not needed any more before it was granted anything. */
  | "withdrawn"
  | "prepared"
  | "ready"
  | "drain"
  | "slept"
  | "stop"
  /** SIGKILL did not end it. */
  | "stuck"
  | "exited";

const EDGES = {
  claiming: { granted: "preparing", withdrawn: "gone" },
  preparing: { prepared: "starting", stop: "stopping", exited: "gone" },
  starting: { ready: "ready", stop: "stopping", exited: "gone" },
  ready: { drain: "draining", stop: "stopping", exited: "gone" },
  asleep: { granted: "starting", stop: "stopping", exited: "gone" },
  draining: { slept: "asleep", stop: "stopping", exited: "gone" },
  stopping: { stuck: "stuck", exited: "gone" },
  stuck: { exited: "gone" },
  gone: {},
} as const satisfies Record<ContainerState, Partial<Record<ContainerEvent, ContainerState>>>;

/** The state after an event; undefined where the event does nothing, since it came too late or too early. */
export function stateAfter(
  state: ContainerState,
  event: ContainerEvent,
): ContainerState | undefined {
  const edges: Partial<Record<ContainerEvent, ContainerState>> = EDGES[state];
  return edges[event];
}

/** Every state, in the order of a container's life. */
export const CONTAINER_STATES = Object.keys(EDGES) as readonly ContainerState[];
