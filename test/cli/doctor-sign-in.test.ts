/** What `postern doctor` says of the sign-in of people. */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { asPerson } from "../../cli/doctor/sign-in.ts";
import { problem } from "../../routing/problem.ts";
import type { ErrorCode } from "../../routing/wire/errors.ts";

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const HOME = "https://ecorp--chat-ui.example.com";

/** An endpoint that sends people to this provider. */
async function findingOf(provider: string) {
  const query = new URLSearchParams({
    client_id: "postern",
    redirect_uri: `${HOME}/_postern/signed-in`,
  });
  const endpoint = await serve((request, response) => {
    const isNavigation = request.headers.accept === "text/html";
    response.writeHead(isNavigation ? 303 : 401, {
      location: `${provider}/auth?${query.toString()}`,
    });
    response.end();
  });
  return await examine(endpoint);
}

async function examine(url: string) {
  const server = { url: new URL(url), address: "127.0.0.1", family: 4 } as const;
  return await asPerson({ server, key: "wk-a.ws-b" });
}

test("a provider that shows its page is well", async () => {
  const provider = await serve((_request, response) => response.end("Who are you?"));
  expect(await findingOf(provider)).toEqual({
    check: "sign-in",
    outcome: "ok",
    detail: `people sign in at ${provider}`,
  });
});

test.each([
  ["with 400", 400, {}],
  ["with its own page for mistakes", 302, { location: "/signin/oauth/error?authError=a" }],
])("one that refuses %s is told of the redirect URI", async (_how, status, headers) => {
  const provider = await serve((_request, response) => response.writeHead(status, headers).end());
  const { outcome, remedy } = await findingOf(provider);
  expect(outcome).toBe("failed");
  expect(remedy).toContain(`${HOME}/_postern/signed-in`);
});

test("one that is not there is named", async () => {
  const { outcome, detail } = await findingOf("http://127.0.0.1:1");
  expect([outcome, detail]).toEqual(["failed", expect.stringContaining("http://127.0.0.1:1")]);
});

test.each(["identity_provider_unavailable", "identity_provider_error"] satisfies ErrorCode[])(
  "%s of the gateway has the gateway's own advice",
  async (code) => {
    const { status, headers, body } = problem(code, "", { accept: "text/html" });
    const endpoint = await serve((_request, response) =>
      response.writeHead(status, headers).end(body),
    );
    const { outcome, detail } = await examine(endpoint);
    expect([outcome, detail]).toEqual(["failed", expect.stringContaining(`${status} ${code}`)]);
  },
);

test.each([
  ["a page of the app", 200, {}],
  ["a redirect of the app", 303, { location: "https://elsewhere.example/login" }],
  ["a lock without a sign-in", 401, {}],
])("%s is no sign-in", async (_what, status, headers) => {
  const endpoint = await serve((_request, response) => response.writeHead(status, headers).end());
  expect(await examine(endpoint)).toMatchObject({ outcome: "skipped" });
});
