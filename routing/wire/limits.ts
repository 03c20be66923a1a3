/**
 * Every number that gateway and agent must agree on, and every bound of the data path, with its unit
 * in the name and its reason beside it. Nothing is clamped silently: each bound has an answer, named here.
 */

import { KIB, MIB } from "../../base/units.ts";

/** Versions of the link's protocol (docs/protocol.md). HELLO offers them, WELCOME names the chosen one. */
export const PROTOCOL_VERSIONS: readonly number[] = [2];

/** Links of one box. */
export const MAX_LINKS = 16;

/** Streams on one link at a time; the next open is refused ("refused" says: not executed). */
export const MAX_STREAMS_PER_LINK = 2000;

/** What a receiver may have granted on one link in one direction, buffered bytes included. An object has 128 MiB. */
export const MAX_GRANTED_BYTES_PER_LINK = 32 * MIB;

/**
 * Of that, the sum of the initial windows of requests, which the gateway gives itself: 64 KiB each for 128
 * uploads at a time. Further uploads wait one round trip for their window.
 */
export const MAX_INITIAL_WINDOWS_BYTES = 8 * MIB;

/** A stream's first window while the link's sum is ample. A body or answer of this size needs no round trip. */
export const INITIAL_WINDOW_BYTES = 64 * KIB;

/**
 * A stream's first window when the sum is short, and what a slow one is let run down to when others need
 * it. 2,000 of them are always kept back, so that no stream waits for another's reader.
 */
export const SHORT_WINDOW_BYTES = 8 * KIB;

/** A stream's largest window: 1 MiB in flight is 80 Mbit/s at 100 ms, per stream. */
export const MAX_WINDOW_BYTES = MIB;

/** Largest payload of a DATA frame, so that no stream holds the socket for long. */
export const MAX_DATA_BYTES = 64 * KIB;

/** Chunks of one stream that arrive within this time share a frame: a token stream costs a frame per 5 ms, not per token. */
export const COALESCE_MS = 5;

/** Largest frame payload: an OPEN with 64 KiB of header lines (JSON may double them) and 64 KiB of body. */
export const MAX_FRAME_BYTES = 512 * KIB;

/** Header lines of one message, names and values and separators: beyond it 431 towards clients, 502 from apps. */
export const MAX_HEADER_BYTES = 64 * KIB;

/** Header lines of one request: beyond it 431. */
export const MAX_HEADER_LINES = 500;

/**
 * What the agent keeps of a passing call's sent bytes so that a cut link can resume: a whole window,
 * which may all be on its way or wait in the object, and what waits between the object and the client.
 */
export const REPLAY_RING_BYTES = MAX_WINDOW_BYTES + 512 * KIB;

/** All replay rings of one agent together; beyond it the fastest streams keep `SHORT_REPLAY_RING_BYTES`. */
export const REPLAY_RINGS_TOTAL_BYTES = 256 * MIB;
export const SHORT_REPLAY_RING_BYTES = 128 * KIB;

/** How long a call without an attached stream waits before its client counts as gone. */
export const DETACHED_MS = 30_000;

/** The agent asks on an idle link this often ... */
export const KEEPALIVE_INTERVAL_MS = 5_000;
/** ... and takes the link for dead when nothing came for this long: a half-open link is noticed within 15 s. */
export const KEEPALIVE_TIMEOUT_MS = 10_000;

/** A dial-back must arrive within this time after its 128 random bits were sent. */
export const DIAL_TIMEOUT_MS = 10_000;

/** Largest WebSocket message that the agent relays, both ways; beyond it the socket is closed with 1009. */
export const MAX_WEBSOCKET_MESSAGE_BYTES = 32 * MIB;

/** Reconnecting: full jitter over a delay that doubles from 100 ms; 1.5 s at most in the first minute, then 15 s. */
export const RECONNECT_FIRST_MS = 100;
export const RECONNECT_MAX_EARLY_MS = 1_500;
export const RECONNECT_MAX_MS = 15_000;
export const RECONNECT_EARLY_PHASE_MS = 60_000;
