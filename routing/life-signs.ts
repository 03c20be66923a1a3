/**
 * Signs of life for clients that wait for a stream of events (HTML, "Server-sent events"): which requests ask for one,
 * and the text that their clients get until the app's own begins. Pure.
 */
import { acceptedTypes, isJson } from "./accept.ts";
import { isMcp } from "./mcp.ts";
import type { CallStatusReport } from "./wire/call-descriptions.ts";
import { type OpenAiError, openAiError } from "./wire/openai-error.ts";

/** The first one comes after this time: most responses begin before, and have a status of their own then. */
export const FIRST_SIGN_MS = 2_000;

/** No client hears nothing for 10 s. */
export const NEXT_SIGN_MS = 8_000;

/** A larger body is not looked into. */
const MAX_LOOKED_AT_BYTES = 64 * 1024;

/** Of an error of the app, which becomes an event. */
export const MAX_ERROR_BYTES = 64 * 1024;

const MAX_MESSAGE_CHARACTERS = 1_000;

type HeaderOf = (name: string) => string | null;

/**
 * Whether a request asks for a stream: `yes`, `no`, or `in_body` where its body says.
 * A client that takes JSON as well has not asked for events, and one of MCP reads the headers of its response.
 */
export function asksForStream(method: string, header: HeaderOf): "yes" | "no" | "in_body" {
  if (method === "HEAD" || isMcp(method, header)) return "no";
  const accepted = acceptedTypes(header("accept"));
  if (accepted.has("text/event-stream")) return accepted.has("application/json") ? "no" : "yes";
  if (method !== "POST" || !isJson(header("content-type"))) return "no";
  const declared = header("content-length");
  return declared !== null && Number(declared) <= MAX_LOOKED_AT_BYTES ? "in_body" : "no";
}

/** Whether a body is an object of JSON with `"stream": true`. */
export function saysStream(body: Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    return (
      typeof value === "object" && value !== null && "stream" in value && value.stream === true
    );
  } catch {
    return false;
  }
}

/** A comment, which is a whole block: no event can be around it. */
export function lifeSign(report: CallStatusReport | undefined): string {
  if (report === undefined) return ": waiting\n\n";
  const { position, etaMs } = report;
  const eta = etaMs === undefined ? "" : ` eta=${Math.ceil(etaMs / 1_000)}`;
  return `: waiting position=${position}${eta}\n\n`;
}

/** The event that ends a stream. The SDKs of OpenAI raise by `error`, and those of Anthropic by the event's name. */
export function errorEvent(error: Readonly<Record<string, unknown>> | OpenAiError): string {
  return `event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`;
}

/**
 * The error in an app's response, as its API has it; else in the form of OpenAI's.
 * @param text of its body, or of the body's beginning
 */
export function errorOfApp(status: number, text: string): Readonly<Record<string, unknown>> {
  let message = text.trim();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null) {
      const { error, detail } = body as { error?: unknown; detail?: unknown };
      if (typeof error === "object" && error !== null) return { status, ...error };
      const said = [error, detail].find((value) => typeof value === "string");
      if (said !== undefined) message = said;
    }
  } catch {
    // It is no JSON: its text is the message.
  }
  const words = message === "" ? `the app answered with ${status}` : message;
  const { type, param } = openAiError("origin_error", "", status);
  return { message: words.slice(0, MAX_MESSAGE_CHARACTERS), type, code: status, param };
}

/** Makes one event of JSON, which has line breaks between its values alone. */
export function eventOfJson(text: string): string {
  return `data: ${text.trim().replaceAll(/\r\n|\r|\n/g, "\ndata: ")}\n\n`;
}
