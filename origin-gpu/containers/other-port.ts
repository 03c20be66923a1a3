/**
 * Finds a server that listens, and not where it was told to: mostly one that reads no PORT. That is a hint and no
 * failure, since some programs open other ports before the one that serves. Finds ports that are open to the network, too.
 */
import { systemTimer } from "../../base/runtime/timer.ts";
import { MINUTE_MS, SECOND_MS } from "../../base/units.ts";
import { MARK } from "./container-run.ts";
import {
  descendantsOf,
  groupMembers,
  type Listener,
  listeners,
  processesWithVariable,
} from "./linux-processes.ts";

/** A server that only takes a moment longer is not suspected. */
const SUSPECTED_AFTER_MS = 5 * SECOND_MS;

/** A server that loads for long is looked at ever more rarely, since a look reads much of /proc. */
const LONGEST_PAUSE_MS = MINUTE_MS;

/** From readiness on. */
const OPEN_PORTS_AFTER_MS = SECOND_MS;

/** A container by its processes. */
interface Whereabouts {
  /** The first one, and the number of its group; undefined where it is not known. */
  readonly leader: number | undefined;
  /** All of them stay below this process; undefined where there is none. */
  readonly supervisor: number | undefined;
  /** The container's. */
  readonly id: string;
}

/**
 * Looks after 5 s, and again after pauses that double up to a minute, until it has found something.
 * @param look has the words for what it found
 * @returns takes it back: the container is ready, or does not start any more
 */
export function lookForOtherPort(
  look: () => string | undefined,
  tell: (text: string) => void,
  timer = systemTimer,
): () => void {
  let cancel = (): void => undefined;
  const lookAfter = (pauseMs: number): void => {
    cancel = timer(() => {
      const text = look();
      if (text !== undefined) tell(text);
      else lookAfter(Math.min(2 * pauseMs, LONGEST_PAUSE_MS));
    }, pauseMs);
  };
  lookAfter(SUSPECTED_AFTER_MS);
  return () => cancel();
}

/**
 * Reads much of /proc.
 * @returns words for the operator; undefined where it listens nowhere, or on its port too
 */
export function listensElsewhere(container: Whereabouts, port: number): string | undefined {
  const found = listenersOf(container);
  if (found.length === 0 || found.some((listener) => listener.port === port)) return undefined;
  const ports = found.map((listener) => `${listener.address}:${listener.port}`).join(", ");
  return `it listens on ${ports}, and not on the port that it was given, ${port}; is that in its command, as $PORT?`;
}

/**
 * Warns of ports that are open to the network, a second from now: it reads much of /proc, and the requests that waited for
 * the container are answered first.
 * @param exited when it settles, nothing is said any more
 */
export function warnOfOpenPorts(
  container: Whereabouts,
  exited: Promise<unknown>,
  notice: (text: string) => void,
): void {
  const look = setTimeout(() => {
    const open = listenersOf(container).filter(({ loopback }) => !loopback);
    if (open.length === 0) return;
    const ports = open.map(({ address, port }) => `${address}:${port}`).join(", ");
    notice(
      `postern: warning: it listens on ${ports}, open to the network past every lock; let it listen on 127.0.0.1`,
    );
  }, OPEN_PORTS_AFTER_MS);
  look.unref();
  void exited.then(() => clearTimeout(look));
}

/** Where the container listens, also by processes that have left the group of the first one. */
function listenersOf({ leader, supervisor, id }: Whereabouts): Listener[] {
  if (leader === undefined) return [];
  // The supervisor adopts what its processes leave behind, so that nobody's environment has to be read.
  const others =
    supervisor === undefined
      ? [...groupMembers(leader), ...processesWithVariable(MARK, id)]
      : descendantsOf(supervisor);
  // The leader's network is that of all of them.
  return listeners([leader, ...others]);
}
