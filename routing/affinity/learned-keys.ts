/**
 * The session keys that a response hands out: in a header, in a cookie, or in the first bytes of its body. The agent
 * asks, since only there is the container known that they belong to. Pure.
 */
import { eachHeader, getHeader, type HeaderList } from "../../base/headers.ts";
import { KIB } from "../../base/units.ts";
import type { KeyLesson } from "./rows.ts";
import type { AffinityRules } from "./rules.ts";
import { MAX_KEYS, sessionKey } from "./session-key.ts";
import { fileFolders, isPlainJson, isUncoded, memberText, parsedJson, pathOf } from "./values.ts";

/** The request that a response answers. */
interface AnsweredRequest {
  readonly method: string;
  readonly target: string;
}

interface LearnedHead {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: HeaderList;
}

/** The part of a response's body that `learnedKeys` wants. */
export interface LearnedBody {
  /**
   * `whole`: the body, where it has no more bytes than this, at its end. `beginning`: the first bytes, however many have
   * come; asked again with more of them until a key is found.
   */
  readonly part: "whole" | "beginning";
  readonly maxBytes: number;
}

const WHOLE: LearnedBody = { part: "whole", maxBytes: 64 * KIB };
const BEGINNING: LearnedBody = { part: "beginning", maxBytes: KIB };

/** Which part of the body hands keys out; undefined: none, as with most responses. */
export function learnsFromBody(
  { lessons }: AffinityRules,
  request: AnsweredRequest,
  head: LearnedHead,
): LearnedBody | undefined {
  if (!isSuccess(head)) return undefined;
  const type = getHeader(head.headers, "content-type");
  const coding = getHeader(head.headers, "content-encoding");
  let wanted: LearnedBody | undefined;
  for (const lesson of lessons) {
    if (lesson.in === "header" || lesson.in === "set-cookie") continue;
    if (!isAsked(lesson, request)) continue;
    if (lesson.in === "text") {
      if (lesson.type.test(type ?? "") && isUncoded(coding)) wanted ??= BEGINNING;
    } else if (isPlainJson(type, coding)) return WHOLE;
  }
  return wanted;
}

/**
 * The keys that a response hands out, each once.
 * @param body the part that `learnsFromBody` named; undefined before it is there
 */
export function learnedKeys(
  rules: AffinityRules,
  request: AnsweredRequest,
  head: LearnedHead,
  body?: Uint8Array,
): string[] {
  const text = textOf(body, learnsFromBody(rules, request, head));
  const keys = new Set<string>();
  for (const lesson of rules.lessons) {
    for (const value of valuesOf(lesson, request, head, text)) {
      const key = value === undefined ? undefined : sessionKey(lesson.key, value);
      if (key !== undefined && keys.size < MAX_KEYS) keys.add(key);
    }
  }
  return [...keys];
}

function textOf(body: Uint8Array | undefined, wanted: LearnedBody | undefined): string | undefined {
  if (body === undefined || wanted === undefined) return undefined;
  // Bytes that are no text stay apart in it.
  if (wanted.part === "beginning") {
    return new TextDecoder("latin1").decode(body.subarray(0, wanted.maxBytes));
  }
  return body.length > wanted.maxBytes ? undefined : new TextDecoder().decode(body);
}

function valuesOf(
  lesson: KeyLesson,
  request: AnsweredRequest,
  head: LearnedHead,
  text: string | undefined,
): readonly (string | undefined)[] {
  switch (lesson.in) {
    case "header":
      return head.status < 400 ? [getHeader(head.headers, lesson.name)?.trim()] : [];
    case "set-cookie":
      return head.status < 400 ? cookiesSet(head.headers, lesson.name) : [];
    case "json":
    case "files":
    case "text":
      return text !== undefined && isAsked(lesson, request) ? valuesInBody(lesson, text) : [];
  }
}

function valuesInBody(
  lesson: Extract<KeyLesson, { in: "json" | "files" | "text" }>,
  text: string,
): readonly (string | undefined)[] {
  if (lesson.in === "files") return fileFolders(text);
  if (lesson.in === "text") return [lesson.pattern.exec(text)?.[1]];
  const json = parsedJson(text);
  return lesson.members.map((member) => memberText(json, member));
}

/** The values that Set-Cookie lines give a cookie; one that is deleted has none. */
function cookiesSet(headers: HeaderList, cookie: string): string[] {
  const values: string[] = [];
  eachHeader(headers, (name, line) => {
    if (name !== "set-cookie") return;
    const [pair = ""] = line.split(";", 1);
    const equals = pair.indexOf("=");
    if (equals !== -1 && pair.slice(0, equals).trim() === cookie) {
      values.push(pair.slice(equals + 1).trim());
    }
  });
  return values;
}

function isSuccess({ status }: LearnedHead): boolean {
  return status >= 200 && status < 300;
}

function isAsked(
  { method, path }: Extract<KeyLesson, { in: "json" | "files" | "text" }>,
  request: AnsweredRequest,
): boolean {
  if (method !== undefined && method !== request.method) return false;
  return path === undefined || path.test(pathOf(request.target));
}
