/** Apps that break HTTP, hang up, or say more than they may: the client gets a clear answer or a clear break. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type RawOrigin, startRawOrigin } from "../support/apps/raw-origin.ts";
import { type Gateway, startUp, upstream } from "../support/harness.ts";
import { RawConnection, type RawResponse, exchange, headerValues } from "../support/raw-http.ts";
import { freePort } from "../support/temporary.ts";

let origin: RawOrigin;
let postern: Gateway;
let host: string;
beforeAll(async () => {
  origin = await startRawOrigin();
  postern = await startUp([
    {
      function: "broken",
      web_server: ["node", "-e", "console.log('out of memory'); process.exit(3)"],
    },
    upstream(await freePort(), { function: "refusing" }),
    upstream(await freePort(), {
      function: "unhealthy",
      health_path: "/inside/health",
      startup_timeout: 1,
    }),
    upstream(origin.port),
  ]);
  host = postern.address().host;
});
afterAll(async () => {
  await postern.stop();
  await origin.close();
});

async function get(path: string, hostName = host, method = "GET"): Promise<RawResponse> {
  return await exchange(
    postern.port,
    `${method} ${path} HTTP/1.1\r\nHost: ${hostName}\r\nAccept: application/json\r\n\r\n`,
    method,
  );
}

/** The stable code of an error that the gateway made itself. */
function codeOf(response: RawResponse): unknown {
  expect(headerValues(response, "content-type")[0]).toContain("application/problem+json");
  return (JSON.parse(response.body.toString()) as { code: unknown }).code;
}

describe("before the headers", () => {
  test.each([
    ["garbage", "\x16\x03\x01 what\r\n\r\n"],
    ["another protocol's greeting", "SSH-2.0-OpenSSH_9.9\r\n\r\n"],
    ["two Content-Lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"],
    // RFC 9110, 8.6, lets a recipient reject even this; the agent's HTTP parser does.
    [
      "one Content-Length twice",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    ],
    ["a status above 599", "HTTP/1.1 999 Request Denied\r\nContent-Length: 2\r\n\r\nok"],
    ["a Content-Length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok"],
    [
      "a 101 that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ["NUL in a header value", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok"],
    ["a header line without a colon", "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 2\r\n\r\nok"],
    [
      "200 kB of headers",
      `HTTP/1.1 200 OK\r\nX-A: ${"x".repeat(200_000)}\r\nContent-Length: 2\r\n\r\nok`,
    ],
    ["a status that is no status", "HTTP/1.1 99 What\r\nContent-Length: 2\r\n\r\nok"],
  ])("%s is 502 origin_error", async (_what, bytes) => {
    origin.answer("/evil", bytes);
    const response = await get("/evil");
    expect(response.status).toBe(502);
    expect(codeOf(response)).toBe("origin_error");
    const { detail } = JSON.parse(response.body.toString()) as { detail: string };
    // In our words, not in those of a library.
    expect(detail).toMatch(/^the app broke the exchange: its? [\w ]+$/);
  });

  test("an app that resets the connection is 502 origin_error", async () => {
    origin.answer("/reset", (socket) => void socket.resetAndDestroy());
    const response = await get("/reset");
    expect(response.status).toBe(502);
    expect(codeOf(response)).toBe("origin_error");
  });

  test("an app that hangs up without an answer is 502, and a POST is not sent twice", async () => {
    origin.answer("/hang-up", (socket) => void socket.end());
    const before = origin.heads.filter((head) => head.startsWith("POST /hang-up")).length;
    const response = await get("/hang-up", host, "POST");
    expect(response.status).toBe(502);
    const sent = origin.heads.filter((head) => head.startsWith("POST /hang-up")).length - before;
    expect(sent).toBe(1);
  });

  test("an app that refuses the connection is 502 origin_error", async () => {
    const response = await get("/", postern.address("refusing").host);
    expect(response.status).toBe(502);
    expect(codeOf(response)).toBe("origin_error");
  });

  test("an app that fails to start is 503, its output goes to the log and not to the client", async () => {
    const response = await get("/", postern.address("broken").host);
    expect(response.status).toBe(503);
    expect(codeOf(response)).toBe("starting_failed");
    expect(response.body.toString()).not.toContain("out of memory");
    await postern.process.waitForErrorOutput(/broken.*out of memory/);
  });

  test("an app that is not ready in time is 504, and where it was looked for stays in the log", async () => {
    const response = await get("/", postern.address("unhealthy").host);
    expect(response.status).toBe(504);
    expect(codeOf(response)).toBe("startup_timeout");
    expect(response.body.toString()).not.toMatch(/inside|127\.0\.0\.1/);
    await postern.process.waitForErrorOutput(/unhealthy.*127\.0\.0\.1/);
  });

  test("interim answers of the app do not stand for its final one", async () => {
    origin.answer(
      "/interim",
      "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    const response = await get("/interim");
    const final = response.status === 103 ? undefined : response;
    expect(final).toMatchObject({ status: 200, body: Buffer.from("ok") });
  });
});

describe("after the headers", () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";

  test.each([
    ["a stream that ends without its last chunk", chunked, "end"],
    ["a stream that is reset", chunked, "reset"],
    ["a chunk that is shorter than it says", `${chunked}ff\r\nshort`, "end"],
    ["a chunk size that is no number", `${chunked}zz\r\nfirst\r\n`, "nothing"],
    [
      "a body shorter than its Content-Length",
      "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nfirst",
      "end",
    ],
  ] as const)("%s is cut for the client too", async (_what, bytes, then) => {
    origin.answer("/cut", (socket) => {
      socket.write(bytes, () => {
        if (then === "end") socket.end();
        else if (then === "reset") setTimeout(() => socket.resetAndDestroy(), 20);
      });
    });
    const response = await get("/cut");
    // Broken before the gateway had answered, it may also be told as what it is.
    if (response.status === 502) expect(codeOf(response)).toBe("origin_error");
    else expect(response).toMatchObject({ status: 200, ending: "cut" });
  });

  test("a stream whose first bytes were delivered breaks and never ends cleanly", async () => {
    let breakIt: () => void = () => undefined;
    origin.answer("/later", (socket) => {
      socket.write(chunked);
      breakIt = () => void socket.end();
    });
    const connection = await RawConnection.connect(postern.port);
    connection.send(`GET /later HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect((await connection.head()).status).toBe(200);
    let text = "";
    while (!text.includes("first")) text += (await connection.nextBytes()).toString("latin1");
    breakIt();
    await connection.ending();
    const rest = (await connection.nextBytes()).toString("latin1");
    expect(text + rest).not.toContain("\r\n0\r\n");
    connection.reset();
  });

  test("bytes after the body are seen by nobody", async () => {
    origin.answer(
      "/more",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
    );
    origin.answer("/next", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal");
    for (let round = 0; round < 5; round++) {
      expect((await get("/more")).body.toString()).toBe("ok");
      expect((await get("/next")).body.toString()).toBe("real");
    }
  });

  test.each([204, 304])("a %i that brings a body loses it", async (status) => {
    origin.answer(
      "/bodied",
      `HTTP/1.1 ${status} X\r\nContent-Length: 6\r\nETag: "v"\r\n\r\nforged`,
    );
    origin.answer("/next", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal");
    const connection = await RawConnection.connect(postern.port);
    connection.send(`GET /bodied HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect((await connection.response()).status).toBe(status);
    connection.send(`GET /next HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect((await connection.response()).body.toString()).toBe("real");
    connection.reset();
  });

  test("a body that ends with its connection arrives whole", async () => {
    origin.answer(
      "/until-close",
      (socket) => void socket.end(`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(500_000)}`),
    );
    const response = await get("/until-close");
    expect(response).toMatchObject({ status: 200, ending: "complete" });
    expect(response.body).toHaveLength(500_000);
  });

  test("an app that closes each connection after its answer is not noticed by any client", async () => {
    let count = 0;
    origin.answer("/closing", (socket) => {
      // Without `Connection: close`, and now and then a little later: an idle timeout's race.
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      setTimeout(() => socket.end(), count++ % 4);
    });
    const connection = await RawConnection.connect(postern.port);
    for (let round = 0; round < 300; round++) {
      connection.send(`GET /closing HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect((await connection.response()).status).toBe(200);
    }
    connection.reset();
  });
});
