/**
 * What a gateway may ask the agent itself, instead of an app: which calls there are, what became of one,
 * and to cancel one; what it has to do with deployed apps is apps/deployments.ts's business. Asked and
 * answered like any request, on a stream whose OPEN names no endpoint.
 */
import type { RequestHead } from "../routing/wire/heads.ts";
import type { Failure } from "../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../routing/wire/multiplexer.ts";
import type { Deployments } from "./apps/deployments.ts";
import type { CallDescription } from "./calls/states.ts";
import type { CallCursor, CallRegistry } from "./calls/call-registry.ts";
import type { QuestionBody } from "./code/code-questions.ts";

/** Calls in one answer: it must fit a frame. */
const MAX_LISTED = 100;

export interface Asked {
  calls: CallRegistry;
  box: string;
  /** The workspace whose app this agent serves: others are told of nothing. */
  workspace: string;
  /** Endpoints that need a proxy auth token: a result URL alone does not cancel their calls. */
  isPrivate: (endpoint: string) => boolean;
  /** Where apps may be deployed to this box. */
  deployments: Deployments | undefined;
}

/** Answers a question. */
export function answerQuestion(
  stream: Stream,
  head: RequestHead,
  body: QuestionBody,
  asked: Asked,
): StreamEvents {
  const { method, target, headers } = head;
  const workspace = headers[0] === "postern-workspace" ? headers[1] : undefined;
  if (/^\/(?:assignments$|code\/)/.test(target)) {
    return asked.deployments?.answer(stream, head, body) ?? refuse(stream, TAKES_NO_DEPLOYMENTS);
  }
  const [path = "", query = ""] = target.split("?", 2);
  const match = /^\/calls(?:\/([^/]+))?$/.exec(path);
  const id = match?.[1] === undefined ? undefined : decodeURIComponent(match[1]);
  if (match === null || (workspace !== undefined && workspace !== asked.workspace)) {
    return refuse(stream, { code: "not_found", detail: "the box serves no app of this workspace" });
  }
  if (id === undefined) {
    if (workspace === undefined) return refuse(stream, NO_SUCH_CALL);
    const asking = new URLSearchParams(query);
    const limit = Math.min(Number(asking.get("limit") ?? MAX_LISTED), MAX_LISTED);
    const { calls, next } = asked.calls.list(limit, cursorOf(asking.get("cursor")));
    const items = calls.map((call) => shown(call, asked.box));
    return reply(stream, { items, next_cursor: next === undefined ? null : textOf(next) });
  }
  const call = asked.calls.inspect(id);
  if (call === undefined) return refuse(stream, NO_SUCH_CALL);
  if (method === "GET") return reply(stream, shown(call, asked.box));
  if (workspace === undefined && asked.isPrivate(call.endpoint)) {
    const detail = "the endpoint is private: cancel with an API token";
    return refuse(stream, { code: "forbidden", detail });
  }
  asked.calls.cancel(id);
  return reply(stream, {});
}

const TAKES_NO_DEPLOYMENTS: Failure = {
  code: "not_found",
  detail: "this box takes no deployments; run postern origin or postern up there",
};

const NO_SUCH_CALL: Failure = { code: "no_such_call", detail: "the box does not know this call" };

/** What `textOf` made; the first page for what is none. */
function cursorOf(text: string | null): CallCursor | undefined {
  const running = /^r(\d+(?:\.\d+)?)$/.exec(text ?? "")?.[1];
  if (running !== undefined) return { kind: "running", openedAt: Number(running) };
  const [, acceptedAtMs, callId] = /^e(\d+)-(.+)$/.exec(text ?? "") ?? [];
  if (acceptedAtMs === undefined || callId === undefined) return undefined;
  return { kind: "ended", acceptedAtMs: Number(acceptedAtMs), callId };
}

function textOf(cursor: CallCursor): string {
  return cursor.kind === "running"
    ? `r${cursor.openedAt}`
    : `e${cursor.acceptedAtMs}-${cursor.callId}`;
}

/** In the API's spelling. */
function shown({ callId, durable, elapsedMs, timeline, ...call }: CallDescription, box: string) {
  return {
    call: callId,
    ...call,
    kept: durable,
    box,
    elapsed_ms: elapsedMs,
    timeline: timeline.map(({ state, atMs }) => ({ state, at_ms: atMs })),
  };
}

function reply(stream: Stream, value: unknown): StreamEvents {
  const body = Buffer.from(JSON.stringify(value));
  const head = JSON.stringify({ status: 200, headers: ["content-type", "application/json"] });
  // A window may be short on a busy link: then the gateway is told to ask again.
  if (body.length > stream.window) {
    return refuse(stream, {
      code: "unavailable",
      detail: "the link is busy; ask again",
      retryAfter: 1,
    });
  }
  stream.sendHead(head, [body], true);
  return NO_EVENTS;
}

function refuse(stream: Stream, failure: Failure): StreamEvents {
  stream.refuse(failure);
  return NO_EVENTS;
}
