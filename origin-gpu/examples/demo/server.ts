/**
 * The demo: a language model behind the API of OpenAI, in one file of plain node:http. It needs no GPU, no Python and
 * no download. The model is an n-gram with backoff, which is trained at start, in milliseconds. Its corpus is Lewis
 * Carroll's "Alice's Adventures in Wonderland" of 1865, which is in the public domain (corpus.txt, one paragraph a
 * line). It streams, it can be interrupted, and it stops working for clients that have left. It does not
 * understand a prompt: it answers with text in the words of the book.
 *
 *   POST /v1/chat/completions          OpenAI's, with and without `stream`
 *   GET  /v1/models, /health, /        the page at / uses the other two
 *   GET  /ws                           a chat over a WebSocket, see `chat` below
 *
 * Environment: PORT (8000), DEMO_TOKEN_MS (25): milliseconds for each token, 0 = as fast as it can.
 */
import { createHash, randomInt, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { acceptTextSocket, CLOSE_CODE, type TextSocket } from "./websocket.ts";

const MODEL = "wonderland";
const BODY_MAX_BYTES = 1024 * 1024;
const MAX_TOKENS_DEFAULT = 200;
const MAX_TOKENS_LIMIT = 100_000;
/** How long answers may go on after SIGTERM. */
const DRAIN_LIMIT_MS = 10_000;

const port = numberFromEnvironment("PORT", 8000, 65_535);
const tokenMs = numberFromEnvironment("DEMO_TOKEN_MS", 25, 60_000);

function numberFromEnvironment(name: string, otherwise: number, max: number): number {
  const value = process.env[name] || String(otherwise);
  if (!/^\d+$/.test(value) || Number(value) > max) {
    console.error(`${name} must be a whole number from 0 to ${max}, not ${JSON.stringify(value)}`);
    process.exit(2);
  }
  return Number(value);
}

// ---------------------------------------------------------------------------------- the model

/** A word, a mark or the end of a paragraph, with the space before it: tokens concatenate to text. */
const TOKEN = /\n+| ?[\p{L}\p{N}]+(?:[’-][\p{L}\p{N}]+)*| ?[^\s\p{L}\p{N}]/gu;
const PARAGRAPH = "\n\n";
/** The longest run of tokens that is looked up in the book to find what may follow it. */
const CONTEXT_TOKENS = 4;
/** How often a run that the book has only once is made shorter, so that it is not just read out. */
const WANDERING = 0.35;
/** How many words of a prompt are listened to, its last ones, and how much they weigh. */
const TOPIC_MAX_WORDS = 32;
const TOPIC_BOOST = 6;
const OPENING_MAX_TOKENS = 16;
/** An answer of this length ends with its paragraph. */
const ENOUGH_TOKENS = 60;
/** Words that ask, but do not say about what. */
const ASKING = new Set(
  "a about all an and are as at be can could did do does explain for from give how i i’m in is it let me my of on or please say some tell that the there this to us was we were what when where which who why will with would write you your".split(
    " ",
  ),
);
const SPEAKERS = ["Caterpillar", "Cheshire Cat", "Dodo", "Gryphon", "March Hare", "Mock Turtle"];

class LanguageModel {
  /** The book as token ids, the spelling of each id, and where in the book each id stands. */
  readonly #book: number[] = [];
  readonly #spelling: string[] = [];
  readonly #places: number[][] = [];
  /** How often each word stands in the book, by its stem. */
  readonly #frequency = new Map<string, number>();
  /** Where sentences and their clauses start, but not in the middle of somebody's speech. */
  readonly #sentences: number[] = [];
  readonly #clauses: number[] = [];

  constructor(text: string) {
    const ids = new Map<string, number>();
    let speaking = false;
    let previous = PARAGRAPH;
    for (const token of tokenize(text.trimEnd().replaceAll("\n", PARAGRAPH) + PARAGRAPH)) {
      const id = ids.get(token) ?? this.#spelling.push(token) - 1;
      ids.set(token, id);
      const place = this.#book.push(id) - 1;
      (this.#places[id] ??= []).push(place);
      const word = stem(token);
      this.#frequency.set(word, (this.#frequency.get(word) ?? 0) + 1);
      if (previous === PARAGRAPH) speaking = false;
      const sentence = /[.!?’”)\n]$/.test(previous) && /^ ?[\p{Lu}‘]/u.test(token);
      if (sentence && !speaking) this.#sentences.push(place);
      if (/[,;:—]/.test(previous) && !speaking) this.#clauses.push(place);
      speaking = quoteState(speaking, token);
      previous = token;
    }
  }

  /** Answers until it has said enough; for ever with `endless`. The same `random` says the same. */
  *generate(
    prompt: string,
    temperature: number,
    endless: boolean,
    random: () => number,
  ): Generator<string> {
    const words = tokenize(prompt)
      .map((token) => token.trim())
      .filter((word) => /\p{L}/u.test(word));
    const subjects = words.filter((word) => !ASKING.has(word.toLowerCase()));
    const known = (subjects.length > 0 ? subjects : words)
      .map(stem)
      .filter((word) => this.#frequency.has(word));
    const topic = new Set(known.slice(-TOPIC_MAX_WORDS));

    const strange = subjects.toSorted((a, b) => b.length - a.length)[0];
    const astonished = topic.size === 0 && strange !== undefined;
    if (astonished) {
      const speaker = SPEAKERS[Math.floor(random() * SPEAKERS.length)] ?? "Dodo";
      yield* tokenize(`‘${capitalize(strange.slice(0, 32))}?’ said the ${speaker}.`);
    }
    const said = this.#opening(topic, random);
    let speaking = false;
    for (const [index, id] of said.entries()) {
      const token = this.#spell(id);
      speaking = quoteState(speaking, token);
      yield index > 0 ? token : (astonished ? " " : "") + capitalize(token.trimStart());
    }
    while (true) {
      const id = this.#next(said, topic, speaking, temperature, random);
      const token = this.#spell(id);
      if (token === PARAGRAPH && said.length >= ENOUGH_TOKENS && !endless) return;
      yield token;
      said.push(id);
      speaking = token !== PARAGRAPH && quoteState(speaking, token);
    }
  }

  /** The beginning of a sentence or clause, up to a word of the topic: one of the best eight. */
  #opening(topic: ReadonlySet<string>, random: () => number): number[] {
    const sentences = this.#sentences.map((start) => this.#openingAt(start, topic));
    const clauses = this.#clauses.map((start) => this.#openingAt(start, topic));
    const best = [...sentences, ...clauses]
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score);
    const choices = best.length > 0 ? best.slice(0, 8) : sentences;
    return choices[Math.floor(random() * choices.length)]?.ids ?? [];
  }

  /** Its score grows with every word of the topic, and more with a rare one. */
  #openingAt(start: number, topic: ReadonlySet<string>): { ids: number[]; score: number } {
    const near = this.#book.slice(start, start + OPENING_MAX_TOKENS);
    const end = near.findIndex((id) => /[.!?\n]$/.test(this.#spell(id)));
    const words = near.slice(0, end === -1 ? near.length : end).map((id) => stem(this.#spell(id)));
    let score = 0;
    let length = 1;
    for (const word of topic) {
      const index = words.indexOf(word);
      if (index === -1) continue;
      score += 1 / (this.#frequency.get(word) ?? 1);
      length = Math.max(length, index + 1);
    }
    return { ids: near.slice(0, length), score };
  }

  /**
   * Chooses the next token. It finds the places in the book that match the last tokens of `said`, as many as the
   * book has in a row (this is the backoff). Each place votes for the token that follows it.
   */
  #next(
    said: readonly number[],
    topic: ReadonlySet<string>,
    speaking: boolean,
    temperature: number,
    random: () => number,
  ): number {
    let places = this.#places[said.at(-1) ?? 0] ?? [];
    for (let back = 1; back < CONTEXT_TOKENS; back++) {
      const closer = places.filter((place) => this.#book[place - back] === said.at(-1 - back));
      if (closer.length === 0 || (closer.length === 1 && back > 1 && random() < WANDERING)) break;
      places = closer;
    }
    const votes = new Map<number, number>();
    for (const place of places) {
      const next = this.#book[(place + 1) % this.#book.length] ?? 0;
      votes.set(next, (votes.get(next) ?? 0) + 1);
    }
    for (const [id, count] of votes) {
      const token = this.#spell(id);
      if (topic.has(stem(token))) votes.set(id, count * TOPIC_BOOST);
      // A mark that opens what is open, or closes what is not, or a paragraph that ends in a speech.
      const jars = speaking ? /[‘\n]/.test(token) : token === "’";
      if (jars) votes.set(id, count / 1000);
    }
    return draw(votes, temperature, random);
  }

  #spell(id: number): string {
    return this.#spelling[id] ?? "";
  }
}

function tokenize(text: string): string[] {
  return text.replaceAll("'", "’").match(TOKEN) ?? [];
}

/** The stem of a token, by which topics are compared: that of "Turtles" and of "turtle’s" is "turtle". */
function stem(token: string): string {
  const word = token.trim().toLowerCase();
  return word.length > 3 ? word.replace(/’s$|s$/, "") : word;
}

function quoteState(speaking: boolean, token: string): boolean {
  return token.endsWith("‘") ? true : token === "’" ? false : speaking;
}

function capitalize(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** Draws a key by its weight, sharpened below temperature 1, flattened above, the heaviest at 0. */
function draw(weights: Map<number, number>, temperature: number, random: () => number): number {
  const heaviest = Math.max(...weights.values());
  let total = 0;
  let heaviestKey = 0;
  const scaled: [number, number][] = [];
  for (const [key, weight] of weights) {
    if (weight === heaviest) heaviestKey = key;
    const share = temperature === 0 ? 0 : (weight / heaviest) ** (1 / temperature);
    scaled.push([key, share]);
    total += share;
  }
  let rest = random() * total;
  for (const [key, share] of scaled) {
    rest -= share;
    if (rest < 0) return key;
  }
  return heaviestKey;
}

/** The generator known as mulberry32: the same seed gives the same answer. */
function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// ------------------------------------------------------------------------------- the questions

interface Question {
  readonly prompt: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly stops: readonly string[];
  /** vLLM's `ignore_eos`: go on until `maxTokens`. */
  readonly endless: boolean;
  readonly stream: boolean;
  readonly streamUsage: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** A request that can't be answered; becomes OpenAI's error object with this status. */
class RequestError extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, param?: string, code?: string) {
    super(message);
    this.status = status;
    this.param = param ?? null;
    this.code = code ?? null;
  }

  get body(): Json {
    const type = "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(text: string): Json {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new RequestError(400, "the body is not JSON");
  }
  if (isObject(body)) return body;
  throw new RequestError(400, "the body is not a JSON object");
}

/** Reads the body of a chat completion. Absent and null members mean the default; unknown ones are ignored. */
function parseQuestion(body: Json): Question {
  const number = (name: string, otherwise: number, min: number, max: number, whole = true) => {
    const value = body[name] ?? otherwise;
    const fits = typeof value === "number" && value >= min && value <= max;
    if (fits && (!whole || Number.isInteger(value))) return value;
    const kind = whole ? "a whole number" : "a number";
    throw new RequestError(400, `${name} must be ${kind} from ${min} to ${max}`, name);
  };
  const flag = (object: Json, name: string) => {
    const value = object[name] ?? false;
    if (typeof value === "boolean") return value;
    throw new RequestError(400, `${name} must be true or false`, name);
  };
  if ((body["model"] ?? MODEL) !== MODEL)
    throw new RequestError(404, `the only model here is ${MODEL}`, "model", "model_not_found");
  number("n", 1, 1, 1);
  const stops: unknown[] = [body["stop"] ?? []].flat();
  if (!areStops(stops)) throw new RequestError(400, "stop must be at most 4 strings", "stop");
  const options = body["stream_options"] ?? {};
  if (!isObject(options))
    throw new RequestError(400, "stream_options must be an object", "stream_options");
  const maxName = "max_completion_tokens" in body ? "max_completion_tokens" : "max_tokens";
  const [prompt, context] = readMessages(body["messages"]);
  return {
    prompt,
    promptTokens: tokenize(context).length,
    maxTokens: number(maxName, MAX_TOKENS_DEFAULT, 1, MAX_TOKENS_LIMIT),
    temperature: number("temperature", 0.8, 0, 2, false),
    seed: number("seed", randomInt(2 ** 31), Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    stops,
    endless: flag(body, "ignore_eos"),
    stream: flag(body, "stream"),
    streamUsage: flag(options, "include_usage"),
  };
}

function areStops(stops: readonly unknown[]): stops is string[] {
  return stops.length <= 4 && stops.every((stop) => typeof stop === "string" && stop !== "");
}

/** The last user's words, and all words, of `messages`; content is a string or a list of parts. */
function readMessages(messages: unknown): [prompt: string, context: string] {
  if (!Array.isArray(messages) || messages.length === 0)
    throw new RequestError(400, "messages must be a list with at least one message", "messages");
  const said = messages.map((message: unknown, index) => {
    const param = `messages[${index}]`;
    if (!isObject(message) || typeof message["role"] !== "string")
      throw new RequestError(400, `${param} must be an object with a role`, param);
    const content = message["content"] ?? "";
    const parts = Array.isArray(content) ? content : [{ type: "text", text: content }];
    const texts = parts.map((part: unknown) => {
      if (isObject(part) && part["type"] === "text" && typeof part["text"] === "string")
        return part["text"];
      throw new RequestError(400, `${param}.content must be text`, `${param}.content`);
    });
    return { role: message["role"], text: texts.join(" ") };
  });
  const prompt = said.findLast(({ role }) => role === "user") ?? said.at(-1);
  return [prompt?.text ?? "", said.map(({ text }) => text).join("\n")];
}

// --------------------------------------------------------------------------------- the answers

type Piece =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "done"; readonly finish: "stop" | "length"; readonly usage: Json };

const model = new LanguageModel(readFileSync(new URL("corpus.txt", import.meta.url), "utf8"));

/** Produces an answer at the pace of a real model; throws as soon as the `gone` signal fires. */
async function* answer(question: Question, gone: AbortSignal): AsyncGenerator<Piece> {
  // At temperature 0 there is one answer, whatever the seed.
  const random = seededRandom(question.temperature === 0 ? 0 : question.seed);
  const tokens = model.generate(question.prompt, question.temperature, question.endless, random);
  const holdBack = Math.max(0, ...question.stops.map((stop) => stop.length - 1));
  let produced = 0;
  let held = "";
  let finish: "stop" | "length" = "stop";
  let due = performance.now();
  try {
    for (const token of tokens) {
      due = Math.max(due + tokenMs, performance.now());
      await (tokenMs === 0
        ? nextTurn(undefined, { signal: gone })
        : sleep(Math.max(0, due - performance.now()), undefined, { signal: gone }));
      produced++;
      held += token;
      const stopAt = firstStop(held, question.stops);
      if (stopAt !== -1) {
        held = held.slice(0, stopAt);
        break;
      }
      const ready = held.slice(0, held.length - holdBack);
      held = held.slice(ready.length);
      if (ready !== "") yield { type: "text", text: ready };
      if (produced === question.maxTokens) {
        finish = "length";
        break;
      }
    }
  } finally {
    if (gone.aborted) log(`${gone.reason} after ${produced} tokens`);
  }
  if (held !== "") yield { type: "text", text: held };
  const usage = {
    prompt_tokens: question.promptTokens,
    completion_tokens: produced,
    total_tokens: question.promptTokens + produced,
  };
  yield { type: "done", finish, usage };
}

function firstStop(text: string, stops: readonly string[]): number {
  const found = stops.map((stop) => text.indexOf(stop)).filter((index) => index !== -1);
  return found.length === 0 ? -1 : Math.min(...found);
}

async function complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = parseJson(await readBody(request));
  const question = parseQuestion(body);
  const base = {
    id: `chatcmpl-${randomUUID()}`,
    object: question.stream ? "chat.completion.chunk" : "chat.completion",
    created: Math.floor(Date.now() / 1000),
    model: MODEL,
  };
  const choice = (content: Json, finish: string | null) => ({
    ...base,
    choices: [{ index: 0, ...content, logprobs: null, finish_reason: finish }],
  });
  const gone = new AbortController();
  response.once("close", () => gone.abort("client left"));
  if (response.destroyed) gone.abort("client left");

  if (!question.stream) {
    let text = "";
    for await (const piece of answer(question, gone.signal))
      if (piece.type === "text") text += piece.text;
      else
        sendJson(response, 200, {
          ...choice({ message: { role: "assistant", content: text } }, piece.finish),
          usage: piece.usage,
        });
    return;
  }

  const send = async (event: Json | string) => {
    const data = typeof event === "string" ? event : JSON.stringify(event);
    if (response.write(`data: ${data}\n\n`)) return;
    await once(response, "drain", { signal: gone.signal });
  };
  // Proxies such as nginx hold events back unless they are told not to.
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  await send(choice({ delta: { role: "assistant", content: "" } }, null));
  for await (const piece of answer(question, gone.signal)) {
    if (piece.type === "text") {
      await send(choice({ delta: { content: piece.text } }, null));
      continue;
    }
    await send(choice({ delta: {} }, piece.finish));
    if (question.streamUsage) await send({ ...base, choices: [], usage: piece.usage });
  }
  await send("[DONE]");
  response.end();
}

/**
 * The chat at /ws. In: a prompt as plain text, or the JSON body of a chat completion; a new message
 * interrupts the answer to the last. Out, as JSON: `{"type":"token","text"}` many times, then one of
 * `{"type":"done","finish_reason","usage"}`, `{"type":"interrupted"}` and `{"type":"error","error"}`.
 */
function chat(socket: TextSocket): void {
  let waiting: string | undefined;
  let answering: AbortController | undefined;
  const work = async () => {
    while (waiting !== undefined) {
      const text = waiting;
      waiting = undefined;
      answering = new AbortController();
      await reply(socket, text, AbortSignal.any([answering.signal, socket.gone]));
    }
    answering = undefined;
  };
  socket.onMessage = (text) => {
    waiting = text;
    if (answering === undefined) void work();
    else answering.abort("interrupted");
  };
}

async function reply(socket: TextSocket, text: string, signal: AbortSignal): Promise<void> {
  const send = (message: Json) => socket.send(JSON.stringify(message));
  try {
    const isJson = text.trimStart().startsWith("{");
    const body = isJson ? parseJson(text) : { messages: [{ role: "user", content: text }] };
    for await (const piece of answer(parseQuestion(body), signal)) {
      if (piece.type === "text") await send({ type: "token", text: piece.text });
      else await send({ type: "done", finish_reason: piece.finish, usage: piece.usage });
    }
  } catch (error) {
    if (error instanceof RequestError) await send({ type: "error", ...error.body });
    else if (signal.aborted) await send({ type: "interrupted" });
    else throw error;
  }
}

// ------------------------------------------------------------------------------------ the server

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

const page = readFileSync(new URL("page.html", import.meta.url), "utf8");
/** The page may run its own script and style, talk to its own server, and nothing else. */
const pagePolicy = [
  "default-src 'none'",
  "connect-src 'self'",
  "img-src data:",
  `script-src ${inlineHash("script")}`,
  `style-src ${inlineHash("style")}`,
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

function inlineHash(tag: string): string {
  const [, inline = ""] = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(page) ?? [];
  return `'sha256-${createHash("sha256").update(inline).digest("base64")}'`;
}

const modelCard = {
  id: MODEL,
  object: "model",
  created: Math.floor(Date.now() / 1000),
  owned_by: "postern",
};

const ROUTES: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  "/": {
    GET: (_request, response) => {
      response.setHeader("content-security-policy", pagePolicy);
      send(response, 200, "text/html; charset=utf-8", page);
    },
  },
  "/health": { GET: (_request, response) => sendJson(response, 200, { status: "ok" }) },
  "/v1/models": {
    GET: (_request, response) => sendJson(response, 200, { object: "list", data: [modelCard] }),
  },
  [`/v1/models/${MODEL}`]: { GET: (_request, response) => sendJson(response, 200, modelCard) },
  "/v1/chat/completions": { POST: complete },
  "/ws": {
    GET: (_request, response) => {
      response.setHeader("upgrade", "websocket");
      throw new RequestError(426, "this is a WebSocket: connect with ws:// or wss://");
    },
  },
};

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0] ?? "";
}

async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const methods = Object.hasOwn(ROUTES, pathOf(request)) ? ROUTES[pathOf(request)] : undefined;
  if (methods === undefined) throw new RequestError(404, `there is nothing at ${pathOf(request)}`);
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "");
  const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (handler !== undefined) return handler(request, response);
  response.setHeader("allow", Object.keys(methods).join(", "));
  throw new RequestError(405, `${request.method} is not allowed at ${pathOf(request)}`);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
  });
  response.end(body);
}

function sendJson(response: ServerResponse, status: number, body: Json): void {
  send(response, status, "application/json", JSON.stringify(body));
}

/**
 * Reads the request's body as text. A body that is too long is read to its end and discarded: a reset would reach
 * the client before the answer.
 * @throws RequestError 413 or 400
 */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= BODY_MAX_BYTES) chunks.push(chunk);
  }
  if (length > BODY_MAX_BYTES)
    throw new RequestError(413, `the body is over ${BODY_MAX_BYTES} bytes`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new RequestError(400, "the body is not UTF-8");
  }
}

function log(line: string): void {
  console.log(line);
}

const server = createServer(
  { shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === "websocket" },
  (request, response) => {
    const started = performance.now();
    response.once("close", () => {
      const seconds = ((performance.now() - started) / 1000).toFixed(2);
      const outcome = response.writableFinished ? response.statusCode : "broken off";
      if (pathOf(request) !== "/health")
        log(`${request.method} ${pathOf(request)}: ${outcome} after ${seconds} s`);
      if (!server.listening) server.closeIdleConnections();
    });
    route(request, response).catch((error: unknown) => {
      if (error instanceof RequestError) return sendJson(response, error.status, error.body);
      if (response.destroyed) return undefined;
      console.error(error);
      response.destroy();
    });
  },
);

const chats = new Set<TextSocket>();
server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
  if (pathOf(request) !== "/ws") {
    socket.on("error", () => socket.destroy());
    socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    return;
  }
  const accepted = acceptTextSocket(request, socket, head);
  if (accepted === undefined) return;
  chats.add(accepted);
  accepted.gone.addEventListener("abort", () => chats.delete(accepted));
  chat(accepted);
});

/** Takes no more work, lets what runs end, but not for ever. A second signal ends at once. */
function shutDown(): void {
  process.once("SIGTERM", () => process.exit(0));
  process.once("SIGINT", () => process.exit(0));
  server.close();
  for (const socket of chats) socket.close(CLOSE_CODE.goingAway, "the server is stopping");
  setTimeout(() => server.closeAllConnections(), DRAIN_LIMIT_MS).unref();
}
process.once("SIGTERM", shutDown);
process.once("SIGINT", shutDown);

server.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
server.listen(port, "127.0.0.1", () => {
  const address = server.address();
  const bound = typeof address === "object" ? address?.port : port;
  log(`the ${MODEL} model answers at http://127.0.0.1:${bound}`);
});
