/** The clients that hear or see something while their calls wait: those of streams, and people at a page. */
import { within } from "../../../base/runtime/within.ts";
import { asksForStream, FIRST_SIGN_MS, saysStream } from "../../../routing/life-signs.ts";
import { parsePrefer } from "../../../routing/prefer.ts";
import { isNavigation, PAGE_AFTER_MS, startingPage } from "../../../routing/starting-page.ts";
import type { CallStatusReport } from "../../../routing/wire/call-descriptions.ts";
import type { EndpointSettings } from "../../../routing/wire/messages.ts";
import { askAgent } from "../proxy/agent-client.ts";
import type { PlacedAttempt } from "../proxy/candidates.ts";
import type { OutgoingCall } from "../proxy/open-on-link.ts";
import type { OutgoingBody } from "../proxy/request-body.ts";
import type { EndpointOrigin } from "./endpoint-origin.ts";
import { LIVELY_HEAD, livelyBody, livelyStream } from "./life-signs.ts";
import type { RequestContext } from "./request-context.ts";

/** A sign goes out without a place in the queue where the box does not tell it soon. */
export const STATUS_LIMIT_MS = 1_000;

/**
 * Whether the client of a request waits for a stream, and hears signs of life: undefined where its body says, which has
 * to be read for that. A client that wants a 202 does not wait.
 */
export function mayBeLively(
  { lifeSigns = false }: EndpointSettings,
  { method, headers }: Request,
): boolean | undefined {
  if (!lifeSigns) return false;
  const { respondAsync, waitS } = parsePrefer(headers.get("prefer"));
  if (respondAsync || waitS !== undefined) return false;
  const asked = asksForStream(method, (name) => headers.get(name));
  return asked === "in_body" ? undefined : asked === "yes";
}

/** The same of a body that has been read. */
export function isLivelyBody(body: OutgoingBody | undefined): boolean {
  return body instanceof Uint8Array && saysStream(body);
}

/**
 * Waits for a call's answer together with a client that hears signs of life.
 * @returns the response that has begun meanwhile; else the answer, whose body has signs until its first byte
 */
export async function livelyAnswer(
  context: RequestContext,
  origin: EndpointOrigin,
  call: OutgoingCall,
  answering: Promise<PlacedAttempt>,
): Promise<Response | PlacedAttempt> {
  const ask = async () => await statusOf(origin, call);
  const answer = await within(FIRST_SIGN_MS, answering);
  if (answer === undefined) {
    const told = answering.then(async ({ attempt, place }) => {
      // Its headers are gone, and what the session's next request needs is learned all the same.
      if (attempt.kind === "response") await context.session?.onAnswered(attempt.head, place);
      return attempt;
    });
    return context.passOn(LIVELY_HEAD, livelyStream(told, ask));
  }
  const { attempt } = answer;
  if (attempt.kind !== "response") return answer;
  return { ...answer, attempt: { ...attempt, body: livelyBody(attempt.head, attempt.body, ask) } };
}

/**
 * Waits for a call's answer together with a person's browser.
 * @returns the page that says what it waits for, where a container starts: the call ends with it, and the browser asks
 * again. Else the answer.
 */
export async function pageOrAnswer(
  context: RequestContext,
  origin: EndpointOrigin,
  call: OutgoingCall,
  answering: Promise<PlacedAttempt>,
): Promise<Response | PlacedAttempt> {
  const answer = await within(PAGE_AFTER_MS, answering);
  if (answer !== undefined) return answer;
  const status = await statusOf(origin, call);
  if (status?.starting !== true) return await answering;
  const { headers, body } = startingPage(origin.host.name, status);
  return context.respond(503, Object.entries(headers).flat(), body);
}

/** Whether the request is that of a person's browser. */
export function isPerson({ method, headers }: Request): boolean {
  return isNavigation(method, (name) => headers.get(name));
}

/** Where the call stands, as its box says. */
async function statusOf(
  { env, snapshot }: EndpointOrigin,
  { callId, triedAt }: OutgoingCall,
): Promise<CallStatusReport | undefined> {
  const box = snapshot.boxes.find((place) => place.box === triedAt?.box);
  if (box === undefined) return undefined;
  const place = { workspace: snapshot.workspace, box };
  const asked = askAgent(env, place, "reportStatus", { callIds: [callId] });
  const reports = await within(STATUS_LIMIT_MS, asked);
  return reports?.ok === true ? reports.value.calls[0] : undefined;
}
