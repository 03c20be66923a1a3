/** How many clients a gateway has room for, by the descriptors that a process of it may have. Pure. */

/** Requests that wait keep their heads in workerd's memory. */
const MAX_WAITING = 10_000;

/** At the front: 10,000 WebSockets of one workspace, whose box dials back for each, leave as many places to others. */
const MAX_CONNECTIONS = 40_000;

/** Descriptors for everything but clients: storage, links, pipes, the containers' connections. */
const RESERVED_DESCRIPTORS = 128;

/** Descriptors of one client. workerd has two for each connection, and a WebSocket has a second connection, to its box. */
const DESCRIPTORS_PER_CLIENT = 4;
const DESCRIPTORS_PER_CONNECTION = 2;

/** The fewest clients, however few descriptors there are. */
const LEAST = 16;

/** Connections at the front, those of boxes included. */
export function connectionsAtFront(descriptors: number): number {
  return Math.min(MAX_CONNECTIONS, clients(descriptors));
}

/** Requests that may wait at a time where clients connect to workerd. */
export function waitingRequests(descriptors: number): number {
  return Math.min(MAX_WAITING, clients(descriptors));
}

/** The connections that workspaces share where clients connect to workerd. A quarter is for idle ones. */
export function sharedConnections(descriptors: number): number {
  const shared = 0.75 * (descriptors - RESERVED_DESCRIPTORS);
  return Math.max(LEAST, Math.floor(shared / DESCRIPTORS_PER_CONNECTION));
}

function clients(descriptors: number): number {
  return Math.max(LEAST, Math.floor((descriptors - RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_CLIENT));
}
