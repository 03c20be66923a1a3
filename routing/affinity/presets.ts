/**
 * The presets: what the clients of known servers carry, and what those servers hand out. Each is a list of rows; the
 * first source that a request has a known key of leads. docs/sessions.md says which client carries what.
 */
import type { AffinityRows } from "./rows.ts";

const COOKIE = { from: "cookie" } as const;

export type PresetName = "gradio" | "mcp" | "socket.io" | "streamlit" | "jupyter" | "llm";

export const PRESETS: Readonly<Record<PresetName, AffinityRows>> = {
  // Gradio 4 to 6; mounted below any path, and with or without `/gradio_api`. Of 3.50 all but the WebSocket's first
  // message, which no gateway sees: there the cookie leads.
  gradio: {
    sources: [
      {
        from: "path",
        key: "event_id",
        method: "GET",
        pattern: /\/call\/(?:v2\/)?[^/]+\/([^/]+)\/?$/,
      },
      {
        from: "path",
        key: "event_id",
        method: "POST",
        pattern: /\/stream\/([^/]+)(?:\/close)?\/?$/,
      },
      {
        from: "path",
        key: "session_hash",
        method: "GET",
        pattern: /\/(?:heartbeat|stream)\/([^/]+)(?:\/|$)/,
      },
      { from: "query", key: "session_hash", name: "session_hash" },
      { from: "body-member", key: "session_hash", name: "session_hash" },
      { from: "body-member", key: "event_id", name: "event_id" },
      // An upload and its progress bar, which asks while the upload is on its way.
      { from: "query", key: "upload_id", name: "upload_id" },
      COOKIE,
      { from: "path-file", key: "file" },
      { from: "body-files", key: "file" },
    ],
    lessons: [
      {
        in: "json",
        key: "event_id",
        members: ["event_id"],
        method: "POST",
        path: /\/(?:call\/(?:v2\/)?[^/]+|queue\/join)\/?$/,
      },
      { in: "files", key: "file", method: "POST", path: /\/upload\/?$/ },
    ],
  },
  // Streamable HTTP, and the transport before it (HTTP with server-sent events), whose first event names the session.
  mcp: {
    sources: [
      { from: "header", key: "mcp-session-id", name: "mcp-session-id" },
      { from: "query", key: "mcp-sse", name: "session_id" },
      { from: "query", key: "mcp-sse", name: "sessionId" },
    ],
    lessons: [
      { in: "header", key: "mcp-session-id", name: "mcp-session-id" },
      {
        in: "text",
        key: "mcp-sse",
        method: "GET",
        type: /^text\/event-stream\b/i,
        pattern: /(?:^|\n)data: ?[^\s?]*\?(?:[^\s]*&)?session_?[iI]d=([\w-]{1,128})(?=[\s&])/,
      },
    ],
  },
  // Engine.IO 3 and 4 by polling: the open packet names the session. A WebSocket alone needs no key.
  "socket.io": {
    sources: [{ from: "query", key: "sid", name: "sid" }, COOKIE],
    lessons: [
      {
        in: "text",
        key: "sid",
        method: "GET",
        type: /^(?:text\/plain|application\/octet-stream|text\/html)\b/i,
        // Protocol 3 writes the packet's length in front, as text or in bytes.
        pattern: /^(?:\d{1,6}:|[^!-~]{2,8})?0\{[^{}]{0,200}"sid"\s*:\s*"([\w-]{1,128})"/,
      },
    ],
  },
  // The page's session id comes over its WebSocket. It is in the paths of uploads, and a page that reconnects names it
  // behind the protocol's name and a token.
  streamlit: {
    sources: [
      { from: "path", key: "streamlit", pattern: /\/_stcore\/upload_file\/([^/]+)\/[^/]+$/ },
      { from: "list-header", key: "streamlit", name: "sec-websocket-protocol", index: 2 },
      COOKIE,
    ],
    lessons: [],
  },
  // Kernels and sessions have random ids. Terminals are numbered on each server: only the cookie leads to them.
  jupyter: {
    sources: [
      {
        from: "path",
        key: "kernel",
        pattern: /\/api\/(?:kernels|sessions)\/([^/]+)(?:\/|$)/,
      },
      COOKIE,
    ],
    lessons: [
      {
        in: "json",
        key: "kernel",
        members: ["id", "kernel.id"],
        method: "POST",
        path: /\/api\/(?:kernels|sessions)\/?$/,
      },
    ],
  },
  // An OpenAI-style body. Nothing is lost elsewhere but a cache.
  llm: {
    sources: [{ from: "prompt" }],
    lessons: [],
  },
};
