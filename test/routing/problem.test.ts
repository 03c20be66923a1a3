import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { problemShape } from "../../routing/accept.ts";
import { problem } from "../../routing/problem.ts";
import { type ErrorCode, ERRORS } from "../../routing/wire/errors.ts";

const BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
const CODES = Object.keys(ERRORS) as ErrorCode[];

describe("the shape of an error response", () => {
  it.each([
    // No Accept is as good as */* (RFC 9110, 12.5.1).
    [null, "document"],
    ["", "document"],
    ["*/*", "document"],
    [" */* ", "document"],
    ["application/json", "document"],
    ["application/problem+json", "document"],
    ["application/vnd.api+json; charset=utf-8", "document"],
    ["application/*", "document"],
    ["APPLICATION/JSON", "document"],
    ["application/json, text/html", "document"],
    ["application/json, text/plain, */*", "document"],
    ["application/json;q=0.5, text/html;q=0.4", "document"],
    ["text/html;q=0.5, */*", "document"],
    ["text/html;q=0, */*", "document"],
    ["*/*;q=0.1, image/png", "document"],
    [BROWSER, "page"],
    ["text/html", "page"],
    ["application/xhtml+xml", "page"],
    ["text/html, */*", "page"],
    ["text/html, application/json;q=0.9", "page"],
    ["text/html;level=1; Q=0.7, application/json;q=0.3", "page"],
    ["text/plain", "line"],
    ["text/*", "line"],
    ["text/event-stream", "line"],
    ["image/png", "line"],
    ["*/*;q=0", "line"],
    ["application/json;q=0, */*", "line"],
    ["application/json;q=0.000", "line"],
    [";;,,=", "line"],
  ] as const)("for Accept %j is %s", (accept, shape) => {
    expect(problemShape(accept)).toBe(shape);
  });

  it("is one of the three for anything at all", () => {
    fc.assert(
      fc.property(fc.string(), (accept) => {
        expect(["document", "page", "line"]).toContain(problemShape(accept));
      }),
    );
  });
});

describe("a problem", () => {
  it("is a document of RFC 9457 with the code", () => {
    const { status, headers, body } = problem("no_such_endpoint", "x--y is not served here", {
      accept: "*/*",
    });
    expect(status).toBe(404);
    expect(headers).toEqual({
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    });
    expect(JSON.parse(body)).toEqual({
      title: "No endpoint has this name",
      status: 404,
      detail: "x--y is not served here",
      code: "no_such_endpoint",
    });
  });

  it("is one line of text for a client that takes neither JSON nor HTML", () => {
    const { headers, body } = problem("no_origin", "box\r\nSet-Cookie: a", {
      accept: "text/plain",
    });
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(body).toBe("postern: no box serves this endpoint now (box Set-Cookie: a)\n");
  });

  it("is a page that nothing in the detail can break out of", () => {
    const detail = `</p><script>alert("1")</script>&'`;
    const { headers, body } = problem("bad_request", detail, { accept: BROWSER });
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
    expect(body).not.toContain("<script");
    expect(body).toContain("&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62;&#38;&#39;");
  });

  it.each(["*/*", BROWSER, "text/plain"])(
    "of missing credentials has the same words in every shape (%s), whatever the detail",
    (accept) => {
      for (const detail of ["", "endpoint x exists"]) {
        const { status, headers, body } = problem("missing_credentials", detail, { accept });
        expect(status).toBe(401);
        expect(headers["www-authenticate"]).toBe('Bearer realm="postern"');
        expect(body).toContain("postern: missing credentials for proxy authorization");
        expect(body).not.toContain("endpoint x exists");
      }
    },
  );

  it("of missing credentials is the contract's line, in text and as a document's detail", () => {
    const line = "postern: missing credentials for proxy authorization";
    expect(problem("missing_credentials", "", { accept: "text/plain" }).body).toBe(`${line}\n`);
    const { body } = problem("missing_credentials", "", { accept: null });
    expect(JSON.parse(body)).toMatchObject({ detail: line, code: "missing_credentials" });
  });

  it("says when to come back in whole seconds, never too early", () => {
    const after = (retryAfter: number) =>
      problem("no_origin", "", { accept: null, retryAfter }).headers["retry-after"];
    expect([after(1), after(0.2), after(0), after(-3)]).toEqual(["1", "1", "0", "0"]);
  });

  it("says of what no time helps that it is not to be repeated, and names no time", () => {
    const { headers } = problem("starting_failed", "", { accept: null, retryAfter: null });
    expect(headers["retry-after"]).toBeUndefined();
    expect(headers["x-should-retry"]).toBe("false");
  });

  it("says when to come back by the table, where the failure names no time", () => {
    const after = (code: ErrorCode) => problem(code, "", { accept: null }).headers["retry-after"];
    expect(after("queue_full")).toBe("1");
    expect(after("starting_failed")).toBe("5");
    expect(after("no_such_endpoint")).toBeUndefined();
  });

  it.each(CODES)("of %s asks clients not to repeat a call that may have run", (code) => {
    const { headers } = problem(code, "", { accept: null });
    expect(headers["x-should-retry"]).toBe(ERRORS[code].mayHaveRun ? "false" : undefined);
  });

  it.each([
    ["missing_credentials", "invalid_request_error"],
    ["no_such_endpoint", "invalid_request_error"],
    ["queue_full", "rate_limit_error"],
    ["origin_error", "server_error"],
    ["no_origin", "server_error"],
  ] as const)("of %s is OpenAI's too where the endpoint has that API", (code, type) => {
    const { body } = problem(code, "a reason", { accept: "application/json", api: "openai" });
    const document = JSON.parse(body) as Record<string, unknown>;
    expect(document["error"]).toEqual({ message: document["detail"], type, code, param: null });
    expect(document).toMatchObject({ code, status: ERRORS[code].status });
    expect(problem(code, "", { accept: null }).body).not.toContain('"error"');
  });

  it("has members for programs, which cannot replace its own", () => {
    const members = { call_id: "c", status: 200, code: "forged" };
    const { body } = problem("call_lost", "gone", { accept: null, members });
    expect(JSON.parse(body)).toMatchObject({ call_id: "c", status: 502, code: "call_lost" });
  });
});
