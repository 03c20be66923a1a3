import { describe, expect, it, test } from "vitest";
import { isNavigation, startingPage } from "../../routing/starting-page.ts";

const BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

type Headers = Readonly<Record<string, string>>;

function navigates(method: string, headers: Headers): boolean {
  return isNavigation(method, (name) => headers[name] ?? null);
}

describe("a person's browser", () => {
  it.each<Headers>([{ accept: BROWSER }, { accept: BROWSER, "sec-fetch-mode": "navigate" }])(
    "goes to a page: %o",
    (headers) => {
      expect(navigates("GET", headers)).toBe(true);
    },
  );

  it.each<[string, Headers]>([
    ["POST", { accept: BROWSER, "sec-fetch-mode": "navigate" }],
    ["HEAD", { accept: BROWSER }],
    ["GET", { accept: BROWSER, "sec-fetch-mode": "cors" }],
    ["GET", { accept: BROWSER, "sec-fetch-mode": "no-cors" }],
    ["GET", { accept: "*/*", "sec-fetch-mode": "navigate" }],
    ["GET", { accept: "application/json" }],
    ["GET", { accept: "text/event-stream" }],
    ["GET", {}],
  ])("does not: %s %o", (method, headers) => {
    expect(navigates(method, headers)).toBe(false);
  });
});

describe("the page of a container that starts", () => {
  const page = startingPage("local--<b>", { position: 2, etaMs: 11_200 });

  test("asks again by itself, and is kept by nobody", () => {
    expect(page.body).toContain('<meta http-equiv="refresh" content="1">');
    expect(page.headers).toMatchObject({ "cache-control": "no-store", "retry-after": "1" });
  });

  test("says what it waits for and how long, and no markup of the name's", () => {
    expect(page.body).toContain("It should answer in about 12 s.");
    expect(page.body).toContain("Requests before yours: 2.");
    expect(page.body).not.toContain("<b>");
  });

  test("says so where nothing has been measured", () => {
    const { body } = startingPage("x", { position: 0 });
    expect(body).toContain("How long it takes is not known yet.");
    expect(body).not.toContain("before yours");
  });

  test("tells long times in minutes", () => {
    expect(startingPage("x", { position: 0, etaMs: 400_000 }).body).toContain("about 7 minutes");
  });
});
