import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type CorsRequest,
  type CorsSetting,
  corsSettingProblem,
  ownCors,
  preflight,
  withCors,
} from "../../routing/cors.ts";

const PAGE = "https://www.example.com";

const ASKING: CorsRequest = {
  method: "OPTIONS",
  origin: PAGE,
  requestMethod: "POST",
  requestHeaders: "authorization,content-type",
};

const LISTED: CorsSetting = { origins: [PAGE, "http://localhost:3000"], credentials: true };

/** A flat list as an object; throws when a name stands twice. */
function fields(headers: readonly string[] | undefined): Record<string, string> {
  const result: Record<string, string> = {};
  for (let index = 0; index < (headers?.length ?? 0); index += 2) {
    const name = headers?.[index] as string;
    if (name in result && name !== "set-cookie") throw new Error(`${name} stands twice`);
    result[name] = headers?.[index + 1] as string;
  }
  return result;
}

function names(list: string | undefined): string[] {
  return (list ?? "").split(", ");
}

describe("a preflight", () => {
  it("is left to the app when the endpoint has no cors", () => {
    expect(preflight(false, ASKING)).toBeUndefined();
  });

  it.each([
    ["another method", { ...ASKING, method: "GET" }],
    ["no Origin", { ...ASKING, origin: null }],
    ["no Access-Control-Request-Method", { ...ASKING, requestMethod: null }],
  ])("is none with %s", (_what, request) => {
    expect(preflight(true, request)).toBeUndefined();
  });

  it("lets every page call with what it asked for, without cookies", () => {
    const response = fields(preflight(true, ASKING));
    expect(response["access-control-allow-origin"]).toBe("*");
    expect(names(response["access-control-allow-methods"])).toContain("POST");
    expect(names(response["access-control-allow-headers"])).toEqual([
      "authorization",
      "content-type",
    ]);
    expect(response["access-control-max-age"]).toBe("7200");
    expect(response).not.toHaveProperty("access-control-allow-credentials");
    expect(names(response["vary"])).toContain("access-control-request-headers");
  });

  it("names the origin and allows cookies where the setting says so", () => {
    const response = fields(preflight(LISTED, ASKING));
    expect(response["access-control-allow-origin"]).toBe(PAGE);
    expect(response["access-control-allow-credentials"]).toBe("true");
    expect(names(response["vary"])).toContain("origin");
  });

  it("gives another origin no permission", () => {
    for (const origin of [
      "https://evil.example",
      `${PAGE}.evil.example`,
      "null",
      "http://www.example.com",
    ]) {
      const response = fields(preflight(LISTED, { ...ASKING, origin }));
      expect(Object.keys(response)).toEqual(["vary"]);
    }
  });

  it("allows an unusual method that is asked for, and nothing that is no method", () => {
    const propfind = fields(preflight(true, { ...ASKING, requestMethod: "PROPFIND" }));
    expect(names(propfind["access-control-allow-methods"])).toContain("PROPFIND");
    const split = fields(preflight(true, { ...ASKING, requestMethod: "GET\r\nx: y" }));
    expect(split["access-control-allow-methods"]).toBe(
      "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    );
  });

  it("keeps to the listed headers and those of the gateway's own", () => {
    const setting = { origins: [PAGE], headers: ["X-Model"] };
    const response = fields(preflight(setting, { ...ASKING, requestHeaders: "x-other" }));
    const allowed = names(response["access-control-allow-headers"]);
    expect(allowed).toEqual(
      expect.arrayContaining(["x-model", "authorization", "idempotency-key"]),
    );
    expect(allowed).not.toContain("x-other");
  });

  it("needs no header where the page asks for none", () => {
    const response = fields(preflight(true, { ...ASKING, requestHeaders: null }));
    expect(response).not.toHaveProperty("access-control-allow-headers");
  });

  it("sends back nothing but header names of a bounded length, whatever is asked for", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 6000 }), (requestHeaders) => {
        const response = fields(preflight(true, { ...ASKING, requestHeaders }));
        const allowed = response["access-control-allow-headers"] ?? "x";
        expect(allowed.length).toBeLessThan(10_000);
        expect(allowed).toMatch(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+(, [!#$%&'*+.^_`|~0-9A-Za-z-]+)*$/);
      }),
    );
    const long = fields(preflight(true, { ...ASKING, requestHeaders: "x,".repeat(3000) }));
    expect(long).not.toHaveProperty("access-control-allow-headers");
  });
});

describe("a response", () => {
  const redirect = ["location", "/x?__postern_call=t", "cache-control", "no-store"];

  it("is left as it is when the endpoint has no cors", () => {
    const own = ["access-control-allow-origin", "https://app.example"];
    expect(withCors(false, PAGE, own)).toEqual(own);
  });

  it("of any kind lets the page read it, redirects included", () => {
    const response = fields(withCors(true, PAGE, redirect));
    expect(response["location"]).toBe("/x?__postern_call=t");
    expect(response["access-control-allow-origin"]).toBe("*");
    const exposed = names(response["access-control-expose-headers"]);
    expect(exposed).toEqual(
      expect.arrayContaining(["location", "postern-call-id", "x-request-id", "retry-after"]),
    );
    expect(exposed).toContain("cache-control");
  });

  it("exposes every header of the app by name, except cookies", () => {
    const app = ["x-usage", "7", "set-cookie", "a=1", "set-cookie", "b=2"];
    const response = withCors(LISTED, PAGE, app);
    const exposed = names(fields(response)["access-control-expose-headers"]);
    expect(exposed).toContain("x-usage");
    expect(exposed).not.toContain("set-cookie");
    expect(exposed).not.toContain("*");
    expect(response.filter((name) => name === "set-cookie")).toHaveLength(2);
  });

  it("has one opinion: the setting's, not the app's", () => {
    const app = [
      "access-control-allow-origin",
      "https://other.example",
      "access-control-allow-credentials",
      "true",
      "access-control-expose-headers",
      "x-a",
    ];
    const response = fields(withCors(true, PAGE, app));
    expect(response["access-control-allow-origin"]).toBe("*");
    expect(response).not.toHaveProperty("access-control-allow-credentials");
    const refused = fields(withCors(LISTED, "https://evil.example", app));
    expect(refused).toEqual({ vary: "origin" });
  });

  it("varies by origin, also for who sends none, and keeps what the app varies by", () => {
    expect(fields(withCors(LISTED, null, []))).toEqual({ vary: "origin" });
    expect(fields(withCors(LISTED, PAGE, ["vary", "accept"]))["vary"]).toBe("accept, origin");
    expect(fields(withCors(LISTED, PAGE, ["vary", "Origin"]))["vary"]).toBe("Origin");
    expect(fields(withCors(LISTED, PAGE, ["vary", "*"]))["vary"]).toBe("*");
    // A value that looks like the name is no name.
    expect(fields(withCors(true, null, ["x-a", "vary"]))).toEqual({
      "x-a": "vary",
      vary: "origin",
    });
  });

  it("never gives cookies to every page, even under a setting that was not checked", () => {
    for (const setting of [{ credentials: true }, { origins: ["*"], credentials: true }]) {
      const response = fields(withCors(setting, PAGE, []));
      expect(response["access-control-allow-origin"]).toBe("*");
      expect(response).not.toHaveProperty("access-control-allow-credentials");
    }
  });

  it("never changes the list that it was given", () => {
    const given = ["vary", "accept"];
    withCors(true, PAGE, given);
    expect(given).toEqual(["vary", "accept"]);
  });
});

describe("a setting", () => {
  it.each<[string, CorsSetting]>([
    ["on", true],
    ["off", false],
    ["a list of origins", { origins: [PAGE, "http://localhost:3000", "http://[::1]:8080"] }],
    ["an origin in capitals", { origins: ["https://WWW.example.com"] }],
    ["a browser extension's origin", { origins: ["chrome-extension://abcdef"] }],
    ["a sandboxed page's origin", { origins: ["null"] }],
    ["every origin without cookies", { origins: ["*"], headers: ["*"] }],
    ["cookies for listed origins", LISTED],
  ])("is right when it is %s", (_what, setting) => {
    expect(corsSettingProblem(setting)).toBeUndefined();
  });

  it.each<[string, CorsSetting]>([
    ["cookies for every origin", { credentials: true }],
    ["cookies for a star", { origins: ["*"], credentials: true }],
    ["a path", { origins: [`${PAGE}/`] }],
    ["a host alone", { origins: ["www.example.com"] }],
    ["a wildcard", { origins: ["https://*.example.com/x"] }],
    ["the usual port", { origins: ["https://www.example.com:443"] }],
    ["a user", { origins: ["https://me@www.example.com"] }],
    ["a space in a header name", { headers: ["x y"] }],
  ])("is wrong with %s, and says what", (_what, setting) => {
    expect(corsSettingProblem(setting)).toMatch(/origin|header/);
  });

  it("matches an origin that was written in capitals", () => {
    const response = fields(withCors({ origins: ["https://WWW.Example.com"] }, PAGE, []));
    expect(response["access-control-allow-origin"]).toBe(PAGE);
  });
});

describe("a response of Postern's own, where the app does CORS itself", () => {
  const PAGE_ALONE = { origins: [PAGE], credentials: true };

  it.each([303, 401, 404, 429, 502, 503, 504])("lets the caller's origin read a %i", (status) => {
    expect(ownCors(false, PAGE, status)).toEqual(PAGE_ALONE);
    const response = fields(withCors(ownCors(false, PAGE, status), PAGE, []));
    expect(response["access-control-allow-origin"]).toBe(PAGE);
    expect(response["access-control-allow-credentials"]).toBe("true");
    expect(response["vary"]).toBe("origin");
  });

  it("gives no result URL of a call that a visitor's cookies opened", () => {
    const response = fields(withCors(ownCors(false, PAGE, 202), PAGE, []));
    expect(response["access-control-allow-origin"]).toBe(PAGE);
    expect(response).not.toHaveProperty("access-control-allow-credentials");
  });

  it("is left alone for a caller that is no page", () => {
    expect(ownCors(false, null, 303)).toBe(false);
  });

  it.each([true, LISTED])("follows the endpoint's setting where there is one: %j", (setting) => {
    expect(ownCors(setting, "https://evil.example", 303)).toBe(setting);
  });
});
