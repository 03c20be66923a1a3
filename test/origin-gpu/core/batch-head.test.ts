import { describe, expect, test } from "vitest";

import {
  answerHeaders,
  batchHeaders,
  batchKey,
  statusesOf,
} from "../../../origin-gpu/core/batch-head.ts";
import type { RequestHead } from "../../../routing/wire/heads.ts";

const JSON_TYPE = ["content-type", "application/json"];

function head(headers: string[], more: Partial<RequestHead> = {}): RequestHead {
  return { callId: "c", endpoint: "e", method: "POST", target: "/a?b", headers, ...more };
}

describe("a request goes into a batch", () => {
  test.each([
    "application/json",
    "Application/JSON; charset=UTF-8",
    'application/json;charset="utf-8"',
  ])("with %s", (type) => {
    expect(batchKey(head(["content-type", type]))).toBeDefined();
  });

  test.each([
    ["another method", head(JSON_TYPE, { method: "PUT" })],
    ["no type", head([])],
    ["another type", head(["content-type", "application/json-seq"])],
    ["another encoding of text", head(["content-type", "application/json; charset=latin1"])],
    ["a compressed body", head([...JSON_TYPE, "content-encoding", "gzip"])],
    ["a WebSocket", head(JSON_TYPE, { websocket: "key" })],
  ])("and none with %s", (_, request) => {
    expect(batchKey(request)).toBeUndefined();
  });
});

test("requests are together where an app can't tell them from each other", () => {
  const one = batchKey(head([...JSON_TYPE, "x-request-id", "1", "user-agent", "a"]));
  const same = [...JSON_TYPE, "x-request-id", "2", "sec-ch-ua", "b", "x-forwarded-for", "c"];
  expect(batchKey(head(same))).toBe(one);
  for (const name of ["authorization", "cookie", "x-verified-user-data", "x-model", "host"]) {
    expect(batchKey(head([...JSON_TYPE, name, "1"])), name).not.toBe(one);
  }
  expect(batchKey(head(JSON_TYPE, { target: "/a" }))).not.toBe(one);
});

test("a batch has what its requests have in common, and its size", () => {
  const headers = ["host", "a", ...JSON_TYPE, "cookie", "b", "postern-call-id", "c", "accept", "d"];
  expect(batchHeaders(headers, 3).join(" ")).toBe(
    "host a cookie b content-type application/json accept application/json postern-batch-size 3",
  );
});

test("an answer has no line that is right for the whole alone", () => {
  const headers = ["content-length", "9", "set-cookie", "a", "etag", "b", "x-model", "c"];
  expect(answerHeaders(headers, 4).join(" ")).toBe(
    "x-model c content-type application/json content-length 4",
  );
});

test.each([
  ["200,404 , 503", [200, 404, 503]],
  ["200, 404", undefined],
  ["200, 404, 199", undefined],
  ["200, 404, 600", undefined],
  ["200, 404, 2000", undefined],
  ["", undefined],
])("the statuses %j", (line, statuses) => {
  expect(statusesOf(line, 3)).toEqual(statuses);
});
