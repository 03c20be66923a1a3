/**
 * Every number that gateway and agent must agree on, and every bound of the data path, with its unit in the name
 * and its reason beside it. Nothing is clamped silently: each bound names what happens beyond it.
 */

import { KIB, MIB } from "../../base/units.ts";

/** Versions of the link's protocol (docs/protocol.md). HELLO offers them, WELCOME names the chosen one. */
export const PROTOCOL_VERSIONS: readonly number[] = [2, 3];

/** From this version on streams are parked: PARK, CALL_BACK, and response windows of 0. */
export const PARKING_VERSION = 3;

/** Links of one box. */
export const MAX_LINKS = 16;

/** Streams on one link at a time, without parked ones. The agent refuses the next one, which is then not executed. */
export const MAX_STREAMS_PER_LINK = 2000;

/** Of these, streams that no endpoint gets: operations (`call list`, deployments) always find one. */
export const RESERVED_STREAMS_PER_LINK = 100;

/**
 * An endpoint gets another stream while it has fewer than so many times those that are free. One endpoint alone gets
 * three quarters, ten busy ones 184 each, and the next endpoint always finds one.
 */
export const STREAMS_PER_FREE_ONE = 3;

/**
 * Parked streams of one link. One takes about 1 KiB of the object's memory, where its client waits. An agent parks no
 * more, and the gateway opens no more.
 */
export const MAX_PARKED_PER_LINK = 20_000;

/** A call that waits longer than this has its streams parked; up to twice as long, since one timer serves all. */
export const PARK_AFTER_MS = 100;

/** Bytes that a receiver may have granted on one link, buffered ones included. An object has 128 MiB of memory. */
export const MAX_GRANTED_BYTES_PER_LINK = 32 * MIB;

/**
 * Of that, the sum of the initial windows of requests, which the gateway gives itself: 64 KiB each for 128
 * uploads at a time. Further uploads wait one round trip for their window.
 */
export const MAX_INITIAL_WINDOWS_BYTES = 8 * MIB;

/** A stream's initial window while the link's sum is ample. A body of this size needs no round trip. */
export const INITIAL_WINDOW_BYTES = 64 * KIB;

/**
 * A stream's initial window when the sum is short, and the size to which a slow stream's window shrinks then.
 * 2,000 of them are reserved, so that no stream waits for another's reader.
 */
export const SHORT_WINDOW_BYTES = 8 * KIB;

/** A stream's largest window: 1 MiB in flight is 80 Mbit/s at 100 ms, per stream. */
export const MAX_WINDOW_BYTES = MIB;

/** Chunks of one stream that arrive within this time share a frame. A frame for each token would cost more. */
export const COALESCE_MS = 5;

/** Largest frame payload: an OPEN with 64 KiB of header lines (JSON may double them) and 64 KiB of body. */
export const MAX_FRAME_BYTES = 512 * KIB;

/**
 * Largest payload of a DATA frame. A frame costs the gateway's one thread a read or a write, a message and a system
 * call, whatever its length; the window bounds what a stream has on its way, in frames of any length.
 */
export const MAX_DATA_BYTES = MAX_FRAME_BYTES;

/** Body bytes behind a response's head, which may take twice its 64 KiB of lines as JSON. */
export const MAX_HEAD_BODY_BYTES = 64 * KIB;

/** Header lines of one message, with separators. Beyond it a client gets 431, and an app has failed with 502. */
export const MAX_HEADER_BYTES = 64 * KIB;

/** Header lines of one request. Beyond it the client gets 431. */
export const MAX_HEADER_LINES = 500;

/**
 * Sent bytes of a transient call that the agent holds, so that the call survives a cut link: a whole window, which
 * may be on its way or wait in the object, and what waits between the object and the client.
 */
export const REPLAY_RING_BYTES = MAX_WINDOW_BYTES + 512 * KIB;

/** All replay rings of one agent. Beyond it the fastest streams hold `SHORT_REPLAY_RING_BYTES` each. */
export const REPLAY_RINGS_TOTAL_BYTES = 256 * MIB;
export const SHORT_REPLAY_RING_BYTES = 128 * KIB;

/** A call without a stream for this long has lost its client. */
export const DETACHED_MS = 30_000;

/** The agent sends a ping this often. */
export const KEEPALIVE_INTERVAL_MS = 2_000;
/** An end that heard nothing for this long takes the link for dead, so that a half-open one is missed within 12 s. */
export const KEEPALIVE_TIMEOUT_MS = 10_000;
/** A link of which the gateway heard nothing for this long gets no call that another box may take. */
export const QUIET_MS = 4_500;

/** A dial-back must arrive within this time after its 128 random bits were sent. */
export const DIAL_TIMEOUT_MS = 10_000;

/** The platform lets no larger WebSocket message through, and an endpoint may have a lower limit of its own. */
export const MAX_WEBSOCKET_MESSAGE_BYTES = 32 * MIB;

/** Reconnecting: full jitter over a delay that doubles from 100 ms; 1.5 s at most in the first minute, then 15 s. */
export const RECONNECT_FIRST_MS = 100;
export const RECONNECT_MAX_EARLY_MS = 1_500;
export const RECONNECT_MAX_MS = 15_000;
export const RECONNECT_EARLY_PHASE_MS = 60_000;
