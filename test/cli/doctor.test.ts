/** What `postern doctor` makes of servers that are each ill in one way. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { DOCTOR } from "../../cli/commands/doctor.ts";
import { checkSideDoors } from "../../cli/doctor/side-doors.ts";
import type { Finding } from "../../cli/doctor/finding.ts";
import { problemShape } from "../../routing/accept.ts";
import { temporaryDirectory } from "../support/temporary.ts";

type Answering = (request: IncomingMessage, response: ServerResponse) => void;

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Runs the command as its users do, and reads what it prints. */
async function examine(url: string, ...flags: string[]) {
  const written: string[] = [];
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  try {
    const code = await DOCTOR.run(parseArguments(DOCTOR.description, [url, "--json", ...flags]));
    const findings = JSON.parse(written.join("")) as Finding[];
    return { code, of: (check: string) => findings.find((finding) => finding.check === check) };
  } finally {
    spy.mockRestore();
  }
}

/** What a server makes the doctor say; the marks of an app behind Postern are added. */
async function found(answer: Answering, ...flags: string[]) {
  const port = await listening(
    createServer((request, response) => {
      response.setHeader("postern-call-id", "c");
      response.setHeader("x-request-id", "r");
      answer(request, response);
    }),
  );
  return await examine(`http://127.0.0.1:${port}/`, ...flags);
}

const refuse = (response: ServerResponse, status: number, code: string): void => {
  response.writeHead(status, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ status, code }));
};

describe("an endpoint", () => {
  test("that is well passes, and tells a program by its exit code", async () => {
    const { code, of } = await found((request, response) => {
      if (request.method === "OPTIONS")
        response.writeHead(204, {
          "access-control-allow-origin": "*",
          "access-control-allow-headers": "authorization",
        });
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
    const keyless = await found(answer);
    expect(keyless.code).toBe(1);
    expect(keyless.of("curl")?.remedy).toContain("give doctor a key by --key");
    const keyed = await found(answer, "--key", "wk-a.ws-b");
    expect(keyed.of("curl")).toMatchObject({ outcome: "ok" });
    expect(keyed.of("lock")).toMatchObject({ outcome: "ok" });
    const wrong = await found(answer, "--key", "wk-a.ws-x");
    expect(wrong.of("curl")).toMatchObject({ outcome: "failed", remedy: "Create a new token." });
  });

  test("that refuses an EventSource says so by its code, as to the others", async () => {
    const { of } = await found(({ headers }, response) => {
      if (problemShape(headers.accept ?? null) === "document")
        refuse(response, 404, "no_such_endpoint");
      else response.writeHead(404).end("postern: no endpoint has this name");
    });
    for (const check of ["curl", "eventsource", "websocket"])
      expect(of(check)?.detail).toContain("404 no_such_endpoint");
  });

  test(
    "whose stream never ends is heard for a while, by each client",
    { timeout: 30_000 },
    async () => {
      const { code, of } = await found((request, response) => {
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

  test("whose preflight is refused is closed to pages, whoever may read the refusal", async () => {
    const { of } = await found((request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      if (request.method === "OPTIONS") refuse(response, 401, "missing_credentials");
      else response.end("hello");
    });
    expect(of("browser")?.detail).toContain("may not call (401 to the preflight)");
  });

  test("that is open beside its key is told of", async () => {
    const { of } = await found(
      (_request, response) => void response.end("hello"),
      "--key",
      "wk-a.ws-b",
    );
    expect(of("lock")).toMatchObject({ outcome: "warning" });
    expect(of("lock")?.remedy).toContain("requires_proxy_auth");
  });

  test.each([403, 421, 400])(
    "whose app refuses the Host with %d is told of host_header",
    async (status) => {
      const { code, of } = await found(
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
    const { of } = await found((_request, response) => refuse(response, status, code));
    expect(of("curl")).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining(code) as unknown,
    });
    expect(of("curl")?.remedy).toContain(advice);
  });

  test("whose stream a proxy holds back is told of the proxy's setting", async () => {
    const { of } = await found((request, response) => {
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
    const { of } = await found(
      (_request, response) => void response.setHeader("server", "nginx").end("hello"),
    );
    expect(of("websocket")).toMatchObject({ outcome: "warning" });
    expect(of("websocket")?.remedy).toContain("proxy_set_header Upgrade");
  });

  test("whose clock is wrong is told of it", async () => {
    const { of } = await found((_request, response) => {
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

  test("with a certificate that clients refuse is told why", async () => {
    const directory = temporaryDirectory();
    const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(directory, name)) as [
      string,
      string,
    ];
    execFileSync(
      "openssl",
      [
        ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split(
          " ",
        ),
        "-keyout",
        key,
        "-out",
        cert,
      ],
      { stdio: "ignore" },
    );
    const port = await listening(
      createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }),
    );
    const { code, of } = await examine(`https://127.0.0.1:${port}/`);
    expect(code).toBe(1);
    expect(of("certificate")?.remedy).toContain("self-signed");
    const plain = await listening(createServer((_request, response) => void response.end()));
    expect((await examine(`https://127.0.0.1:${plain}/`)).of("certificate")?.detail).toContain(
      "no TLS",
    );
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
