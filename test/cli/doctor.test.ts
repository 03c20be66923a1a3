/** What `postern doctor` makes of servers that are each ill in one way. */
import { createServer, type ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { DOCTOR } from "../../cli/commands/doctor.ts";
import { checkSideDoors } from "../../cli/doctor/side-doors.ts";
import { problemShape } from "../../routing/accept.ts";
import { type Answering, examine, examineApp, listening } from "../support/doctor.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const refuse = (response: ServerResponse, status: number, code: string): void => {
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ status, code }));
};

describe("an endpoint", () => {
  test("that is well passes, and tells a program by its exit code", async () => {
    const { code, of } = await examineApp((request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      if (request.method === "OPTIONS")
        response.writeHead(204, { "access-control-allow-headers": "authorization" });
      if (request.url === "/v1/models") response.end('{"data":[{"id":"small"}]}');
      else if (request.url === "/mcp")
        response.end('{"jsonrpc":"2.0","result":{"protocolVersion":"x"}}');
      else response.end("hello");
    });
    expect(code).toBe(0);
    for (const check of ["dns", "port", "curl", "browser", "openai", "mcp"]) {
      expect(of(check)).toMatchObject({ outcome: "ok" });
    }
    for (const check of ["eventsource", "websocket", "lock", "side doors"]) {
      expect(of(check)).toMatchObject({ outcome: "skipped" });
    }
  });

  test("that is locked asks for a key, and holds with one", async () => {
    const answer: Answering = ({ headers }, response) => {
      if (headers.authorization === "Bearer wk-a.ws-b") response.end("hello");
      else
        refuse(
          response,
          401,
          headers.authorization === undefined ? "missing_credentials" : "invalid_credentials",
        );
    };
    const keyless = await examineApp(answer);
    expect(keyless.code).toBe(1);
    expect(keyless.of("curl")?.remedy).toContain("give doctor a key by --key");
    const keyed = await examineApp(answer, "--key", "wk-a.ws-b");
    expect(keyed.of("curl")).toMatchObject({ outcome: "ok" });
    expect(keyed.of("lock")).toMatchObject({ outcome: "ok" });
    const wrong = await examineApp(answer, "--key", "wk-a.ws-x");
    expect(wrong.of("curl")).toMatchObject({ outcome: "failed", remedy: "Create a new token." });
  });

  test("that refuses an EventSource says so by its code, as to the others", async () => {
    const { of } = await examineApp(({ headers }, response) => {
      if (problemShape(headers.accept ?? null) === "document") refuse(response, 404, "path_closed");
      else response.writeHead(404).end("postern: the endpoint does not serve this path");
    });
    for (const check of ["curl", "eventsource", "websocket"])
      expect(of(check)?.detail).toContain("404 path_closed");
  });

  test(
    "whose stream never ends is heard for a while, by each client",
    { timeout: 30_000 },
    async () => {
      const { code, of } = await examineApp((request, response) => {
        if (request.url !== "/") return void response.writeHead(404).end();
        response.writeHead(200, { "content-type": "text/event-stream" });
        const timer = setInterval(() => response.write("data: 1\n\n"), 100);
        response.on("close", () => clearInterval(timer));
      });
      expect(code).toBe(0);
      for (const check of ["curl", "eventsource"])
        expect(of(check)).toMatchObject({ outcome: "ok" });
    },
  );

  test.each([303, 202])(
    "that has no answer yet, and says so with %d, is told of each client's way with that",
    async (status) => {
      const { code, of } = await examineApp((_request, response) => {
        response.writeHead(status, { location: "/?__postern_call=token" }).end();
      });
      expect(of("curl")).toMatchObject({
        outcome: "warning",
        detail: expect.stringContaining(`${status} with a result URL`) as unknown,
      });
      for (const words of ["httpx", "HttpClient", "request_timeout", "Prefer: wait=N"])
        expect(of("curl")?.remedy).toContain(words);
      for (const check of ["eventsource", "openai"])
        expect(of(check)?.detail).toContain("such a client follows it");
      expect(of("mcp")).toMatchObject({ outcome: "failed" });
      expect(of("mcp")?.remedy).toContain("request_timeout");
      expect(code).toBe(1);
    },
  );

  test.each([
    ["/mcp/", "warning"],
    ["mcp/", "warning"],
    ["/login", "skipped"],
    ["/refusing", "failed"],
    ["https://elsewhere.example/mcp/", "skipped"],
  ])("whose /mcp leads to %s is asked there, where that is its own", async (location, outcome) => {
    const { of } = await examineApp(({ url }, response) => {
      if (url === "/mcp") response.writeHead(307, { location }).end();
      else if (url === "/refusing") response.writeHead(421).end("Invalid Host header");
      else if (url === "/mcp/") response.end('{"jsonrpc":"2.0","result":{"protocolVersion":"x"}}');
      else response.end("hello");
    });
    expect(of("mcp")).toMatchObject({ outcome });
    if (outcome === "warning") expect(of("mcp")?.remedy).toContain("/mcp/");
  });

  test("that redirects elsewhere by itself is none that is slow", async () => {
    const { code, of } = await examineApp((_request, response) => {
      response.writeHead(303, { location: "/login?next=__postern_call" }).end();
    });
    expect(code).toBe(0);
    expect(of("curl")).toMatchObject({ outcome: "ok", detail: "303 from the app" });
  });

  test("whose preflight is refused is closed to pages, whoever may read the refusal", async () => {
    const { of } = await examineApp((request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      if (request.method === "OPTIONS") refuse(response, 401, "missing_credentials");
      else response.end("hello");
    });
    expect(of("browser")?.detail).toContain("may not call (401 to the preflight)");
  });

  test.each([
    {
      what: "lets pages ask and not read",
      permission: undefined,
      outcome: "warning",
      detail: "not read the 200: it has no Access-Control-Allow-Origin",
      remedy: "set cors = true",
    },
    {
      what: "lets one origin alone read",
      permission: "https://app.example",
      outcome: "warning",
      detail: "not read the 200: it has that of https://app.example",
      remedy: "set cors = true",
    },
    {
      what: "has the permission of the app and of a proxy",
      permission: "*, *",
      outcome: "failed",
      detail: "not read the 200: it has that of *, *",
      remedy: "no add_header",
    },
  ])("that $what is told of its answer", async ({ permission, outcome, detail, remedy }) => {
    const { of } = await examineApp((request, response) => {
      const isPreflight = request.method === "OPTIONS";
      const origin = isPreflight ? "*" : permission;
      if (origin !== undefined) response.setHeader("access-control-allow-origin", origin);
      if (isPreflight) response.setHeader("access-control-allow-headers", "authorization");
      response.end("hello");
    });
    expect(of("browser")).toMatchObject({ outcome });
    expect(of("browser")?.detail).toContain(detail);
    expect(of("browser")?.remedy).toContain(remedy);
  });

  test("that allows headers by a star alone gets no Authorization of a page", async () => {
    const { of } = await examineApp((_request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-allow-headers", "*").end("hello");
    });
    expect(of("browser")?.detail).toContain("send no Authorization");
  });

  test("that is open beside its key is told of", async () => {
    const { of } = await examineApp(
      (_request, response) => void response.end("hello"),
      "--key",
      "wk-a.ws-b",
    );
    expect(of("lock")).toMatchObject({ outcome: "warning" });
    expect(of("lock")?.remedy).toContain("requires_proxy_auth");
  });

  test("that has a rate limit is not called open, nor closed to pages, by what the limit refuses", async () => {
    const { of } = await examineApp(
      (request, response) => {
        const isFirst = request.headers["user-agent"]?.startsWith("curl") === true;
        if (isFirst) response.end("hello");
        else refuse(response, 429, "rate_limited");
      },
      "--key",
      "wk-a.ws-b",
    );
    for (const check of ["lock", "browser"]) {
      expect(of(check)).toMatchObject({
        outcome: "failed",
        detail: expect.stringContaining("429 rate_limited") as unknown,
      });
    }
  });

  test.each([403, 421, 400])(
    "whose app refuses the Host with %d is told of host_header",
    async (status) => {
      const { code, of } = await examineApp(
        (_request, response) => void response.writeHead(status).end("no"),
      );
      expect(code).toBe(1);
      expect(of("curl")?.remedy).toContain("host_header");
    },
  );

  test.each([
    [404, "no_such_endpoint", "postern url"],
    [503, "no_origin", "postern box list"],
    [404, "path_closed", "Ask for another path"],
  ])("that Postern answers with %d %s has Postern's own advice", async (status, code, advice) => {
    const { of } = await examineApp((_request, response) => refuse(response, status, code));
    expect(of("curl")).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining(code) as unknown,
    });
    expect(of("curl")?.remedy).toContain(advice);
  });

  test("whose stream a proxy holds back is told of the proxy's setting", async () => {
    const { of } = await examineApp((request, response) => {
      if (request.headers.accept !== "text/event-stream") {
        response.end("hello");
        return;
      }
      response.writeHead(200, { "content-type": "text/event-stream", server: "nginx/1.27" });
      setTimeout(() => response.end("data: 1\n\ndata: 2\n\ndata: 3\n\n"), 1_100);
    });
    expect(of("eventsource")).toMatchObject({ outcome: "warning" });
    expect(of("eventsource")?.remedy).toContain("proxy_buffering off");
  });

  test("behind a proxy that drops Upgrade is told of the proxy's setting", async () => {
    const { of } = await examineApp(
      (_request, response) => void response.setHeader("server", "nginx").end("hello"),
    );
    expect(of("websocket")).toMatchObject({ outcome: "warning" });
    expect(of("websocket")?.remedy).toContain("proxy_set_header Upgrade");
  });

  test("whose clock is wrong is told of it", async () => {
    const { of } = await examineApp((_request, response) => {
      response.setHeader("date", new Date(Date.now() - 3_600_000).toUTCString()).end("hello");
    });
    expect(of("clock")).toMatchObject({
      outcome: "warning",
      remedy: expect.stringContaining("NTP") as unknown,
    });
  });
});

describe("a name", () => {
  test("at which another server answers is told of", async () => {
    const port = await listening(
      createServer(
        (_request, response) => void response.setHeader("server", "nginx").end("welcome"),
      ),
    );
    const { code, of } = await examine(`http://127.0.0.1:${port}/`);
    expect(code).toBe(1);
    expect(of("curl")?.detail).toContain("not from Postern");
  });

  test("without an address, and a port that nothing listens on, end the examination", async () => {
    const nameless = await examine("http://postern-doctor.invalid/");
    expect(nameless.code).toBe(1);
    expect(nameless.of("dns")).toMatchObject({ outcome: "failed" });
    expect(nameless.of("curl")).toBeUndefined();
    const server = createTcpServer();
    const port = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    expect((await examine(`http://127.0.0.1:${port}/`)).of("port")).toMatchObject({
      outcome: "failed",
    });
  });
});

describe("the gateway of this machine is asked itself, past the public name", () => {
  const HOST = "ecorp--chat-web.example.invalid";

  /** A state directory on which a gateway runs, or ran. */
  const stateOf = (workerdPort: number): string => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "gateway.json"), JSON.stringify({ workerdPort }));
    return directory;
  };

  const gatewayThat = async (answer: Answering): Promise<string> =>
    stateOf(
      await listening(
        createServer((request, response) => {
          response.setHeader("x-request-id", "r");
          answer(request, response);
        }),
      ),
    );

  test("so that a name which leads nowhere is told from a gateway that does not serve it", async () => {
    const seen: unknown[] = [];
    const state = await gatewayThat((request, response) => {
      seen.push(request.headers.host, request.headers.authorization, request.url);
      response.setHeader("postern-call-id", "c").end("hello");
    });
    const flags = ["--key", "wk-a.ws-b", "--state", state];
    const { code, of } = await examine(`https://${HOST}/x?y=1`, ...flags);
    expect(code).toBe(1);
    expect(of("dns")).toMatchObject({ outcome: "failed" });
    expect(of("inside")).toMatchObject({
      outcome: "ok",
      detail: expect.stringContaining("in front of the gateway") as unknown,
    });
    expect(seen).toEqual([HOST, "Bearer wk-a.ws-b", "/x?y=1"]);
  });

  test("and its refusal is explained as at the public name", async () => {
    const state = await gatewayThat((_request, response) => refuse(response, 503, "no_origin"));
    const { of } = await examine(`http://${HOST}/`, "--state", state);
    expect(of("inside")).toMatchObject({ outcome: "failed" });
    expect(of("inside")?.remedy).toContain("postern box list");
  });

  test("and a result URL is no answer of the app there either", async () => {
    const state = await gatewayThat((_request, response) => {
      const location = "/?__postern_call=a.b.c";
      response.writeHead(303, { "postern-call-id": "c", location }).end();
    });
    const { of } = await examine(`http://${HOST}/`, "--state", state);
    expect(of("inside")).toMatchObject({
      outcome: "warning",
      detail: expect.stringMatching(/the app gave no answer.*in front of the gateway/) as unknown,
    });
  });

  test("but not where none runs, or another name's", async () => {
    const closed = createTcpServer();
    const port = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    const other = await gatewayThat((_request, response) => refuse(response, 421, "wrong_host"));
    for (const state of [temporaryDirectory(), stateOf(port), other]) {
      const { of } = await examine(`http://${HOST}/`, "--state", state);
      expect(of("inside")).toMatchObject({ outcome: "skipped" });
    }
  });
});

test("a port of the machine that is open past the lock is told of", async () => {
  const port = await listening(createTcpServer());
  const url = new URL("http://127.0.0.1:1/");
  // The address of a machine elsewhere, as far as the check is concerned: all of 127.0.0.0/8 is this one.
  const elsewhere = { url, address: "0.0.0.0", family: 4 } as const;
  expect(await checkSideDoors(elsewhere, [port])).toMatchObject({ outcome: "failed" });
  expect(await checkSideDoors({ ...elsewhere, address: "127.0.0.1" }, [port])).toMatchObject({
    outcome: "skipped",
  });
});

test.each([
  [["ftp://a.b"], "is not a URL of an endpoint"],
  [["a.b"], "is not a URL of an endpoint"],
  [["http://a.b", "--key", "a b"], "--key: a key has no blanks"],
])("%j is refused", async (args, message) => {
  await expect(DOCTOR.run(parseArguments(DOCTOR.description, args))).rejects.toThrow(message);
});
