/**
 * A server on $PORT that takes $WORK_SECONDS for each answer, in the forms of OpenAI's and Anthropic's APIs, as an event
 * stream and over a WebSocket. An answer says how often its question was asked, so that a repeated one shows, and /counts
 * says it of all. A question that begins with "missing" gets the error of its API, and one with "breaks" a reset.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocketServer } from "ws";

const { PORT, WORK_SECONDS = "0" } = process.env;
const WORK_MS = Number(WORK_SECONDS) * 1_000;

const counts = new Map<string, number>();

/** The answer to a question, when it has been worked on. */
async function work(question: string): Promise<string> {
  const count = (counts.get(question) ?? 0) + 1;
  counts.set(question, count);
  await delay(WORK_MS);
  return `${question} ${count}`;
}

/** A key of the gateway's own in the headers that came, which no app may see. */
function leakOf({ headers }: IncomingMessage): string {
  return /wk-|ws-|pct-/.test(JSON.stringify(headers)) ? " leaked" : "";
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  const leak = leakOf(request);
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://app");
  if (pathname === "/counts") {
    sendJson(response, Object.fromEntries(counts));
    return;
  }
  if (/"model": ?"(?:missing|breaks)/.test(body)) {
    await fail(response, (JSON.parse(body) as { model: string }).model, pathname);
    return;
  }
  switch (pathname) {
    case "/v1/chat/completions": {
      const { model, stream = false } = JSON.parse(body) as { model: string; stream?: boolean };
      const text = (await work(model)) + leak;
      if (stream) sendEvents(response, completionEvents(model, text));
      else sendJson(response, completion(model, text));
      return;
    }
    case "/v1/messages": {
      const { model, stream = false } = JSON.parse(body) as { model: string; stream?: boolean };
      const text = (await work(model)) + leak;
      if (stream) sendEvents(response, messageEvents(model, text));
      else sendJson(response, message(model, text));
      return;
    }
    case "/events":
      sendEvents(response, [`data: ${await work(searchParams.get("question") ?? "")}${leak}\n\n`]);
      return;
    default:
      response.end((await work(body)) + leak);
  }
}

/** The errors of OpenAI's and of Anthropic's API. */
const NOT_FOUND = {
  "/v1/chat/completions": {
    error: {
      message: "no such model",
      type: "invalid_request_error",
      code: "missing",
      param: null,
    },
  },
  "/v1/messages": {
    type: "error",
    error: { type: "not_found_error", message: "no such model" },
  },
} as const;

async function fail(response: ServerResponse, question: string, path: string): Promise<void> {
  await work(question);
  if (question.startsWith("breaks")) response.socket?.resetAndDestroy();
  else {
    response.statusCode = 404;
    sendJson(response, NOT_FOUND[path as keyof typeof NOT_FOUND]);
  }
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader("content-type", "application/json").end(JSON.stringify(value));
}

function sendEvents(response: ServerResponse, events: readonly string[]): void {
  response.setHeader("content-type", "text/event-stream");
  for (const event of events) response.write(event);
  response.end();
}

function completion(model: string, text: string) {
  const choices = [
    { index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" },
  ];
  return { id: "1", object: "chat.completion", created: 0, model, choices };
}

function completionEvents(model: string, text: string): string[] {
  const choices = [{ index: 0, delta: { role: "assistant", content: text }, finish_reason: null }];
  const chunk = { id: "1", object: "chat.completion.chunk", created: 0, model, choices };
  return [`data: ${JSON.stringify(chunk)}\n\n`, "data: [DONE]\n\n"];
}

function message(model: string, text: string) {
  return {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 1 },
  };
}

function messageEvents(model: string, text: string): string[] {
  const empty = { ...message(model, ""), content: [], stop_reason: null };
  const events = [
    { type: "message_start", message: empty },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } },
    { type: "content_block_stop", index: 0 },
    {
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { output_tokens: 1 },
    },
    { type: "message_stop" },
  ];
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}

const server = createServer((request, response) => void answer(request, response));
const sockets = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  maxPayload: 1_024,
  closeTimeout: 1_000,
  handleProtocols: () => "realtime",
});
server.on("upgrade", (request, connection, head) => {
  sockets.handleUpgrade(request, connection, head, (socket) => {
    socket.on("message", (question: Buffer) => {
      void work(question.toString()).then((text) =>
        socket.send(text + leakOf(request), { binary: false }, () => undefined),
      );
    });
  });
});
server.listen(Number(PORT), "127.0.0.1");
