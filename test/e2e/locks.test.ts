/** Private endpoints, with real curl and the real command: who passes, who doesn't, and from when on. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type Gateway, startCommand, startUp, webServer } from "../support/harness.ts";
import { send } from "../support/http-client.ts";

const execute = promisify(execFile);

const REVOKED_WITHIN_MS = 5_000;

const ENDPOINTS = [
  webServer({ function: "private", requires_proxy_auth: true }),
  webServer({ function: "public" }),
];

let postern: Gateway;
beforeAll(async () => {
  postern = await startUp(ENDPOINTS);
  // The containers are ready when these are answered; what follows measures locks, not starts.
  await send(postern.address("public"), "/json", { timeoutMs: 60_000 });
});
afterAll(async () => await postern.stop());

interface Token {
  readonly id: string;
  readonly secret: string;
}

/** Runs a command against the gateway of these tests and returns what it printed. */
async function command(...args: string[]): Promise<string> {
  const managed = startCommand([...args, "--state", postern.stateDirectory]);
  const { code } = await managed.exited;
  expect({ code, stderr: managed.stderr }).toMatchObject({ code: 0 });
  return managed.stdout;
}

async function createToken(...flags: string[]): Promise<Token> {
  const [id = "", secret = ""] = (await command("proxy-token", "create", ...flags)).split("\n");
  return { id, secret };
}

/** Runs curl on an endpoint of the app; headers as on its command line. */
async function curl(functionName: string, path: string, ...flags: string[]) {
  const { host, port } = postern.address(functionName);
  const url = `http://${host}${path}`;
  const args = ["-sS", "--max-time", "30", "--resolve", `${host}:127.0.0.1`, ...flags];
  args.push("-w", "\n%{http_code} %header{www-authenticate}", url);
  try {
    return { exit: 0, ...parsed((await execute("curl", args)).stdout), port };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { exit: code, ...parsed(stdout), port };
  }
}

function parsed(stdout: string): { body: string; status: number; challenge: string } {
  const end = stdout.lastIndexOf("\n");
  const [status = "", ...challenge] = stdout.slice(end + 1).split(" ");
  return { body: stdout.slice(0, end), status: Number(status), challenge: challenge.join(" ") };
}

const modal = ({ id, secret }: Token): string[] => [
  "-H",
  `Modal-Key: ${id}`,
  "-H",
  `Modal-Secret: ${secret}`,
];

describe("a private endpoint", () => {
  test("refuses curl without credentials and says what is missing", async () => {
    const answer = await curl("private", "/json", "--fail-with-body");
    expect(answer.exit).toBe(22);
    expect(answer.status).toBe(401);
    expect(answer.challenge).toBe('Bearer realm="postern"');
    expect(answer.body).toContain("postern: missing credentials for proxy authorization");
    const text = await curl("private", "/json", "-H", "Accept: text/plain");
    expect(text.body).toBe("postern: missing credentials for proxy authorization\n");
  });

  test("leaves the public one beside it open", async () => {
    expect(await curl("public", "/json")).toMatchObject({ exit: 0, status: 200 });
  });

  test("opens for a new token at once, by each of its spellings", async () => {
    const token = await createToken("--name", "curl");
    const { id, secret } = token;
    for (const flags of [
      modal(token),
      ["-H", `Postern-Key: ${id}`, "-H", `Postern-Secret: ${secret}`],
      ["-H", `Authorization: Bearer ${id}.${secret}`],
      ["-H", `authorization: bearer ${id}.${secret}`],
      ["-H", `X-Api-Key: ${id}.${secret}`],
      ["-H", `Api-Key: ${id}.${secret}`],
    ]) {
      expect(await curl("private", "/json", ...flags)).toMatchObject({ exit: 0, status: 200 });
    }
  });

  test("never shows the app a secret, and shows it its own Authorization", async () => {
    const token = await createToken();
    const { id, secret } = token;
    const bearer = `Bearer ${id}.${secret}`;
    for (const flags of [
      [...modal(token), "-H", "Authorization: Bearer of-the-app"],
      [...modal(token), "-H", `Modal_Key: ${id}`, "-H", `Modal_Secret: ${secret}`],
      [...modal(token), "-H", `Postern-Key: ${id}`, "-H", `Postern-Secret: ${secret}`],
      [...modal(token), "-H", `Authorization: ${bearer}`],
      ["-H", `Authorization: ${bearer}`],
      ["-H", `X-Api-Key: ${id}.${secret}`],
      [...modal(token), "-H", `Api-Key: ${id}.${secret}`],
    ]) {
      const { status, body } = await curl("private", "/seen/x", ...flags);
      expect(status).toBe(200);
      expect(body).not.toContain(id);
      expect(body).not.toContain(secret);
    }
    const own = await curl(
      "private",
      "/seen/x",
      ...modal(token),
      "-H",
      "Authorization: Basic eDp5",
    );
    expect(JSON.parse(own.body)).toMatchObject({
      headers: expect.arrayContaining([["authorization", "Basic eDp5"]]) as unknown,
    });
  });

  test("refuses what is wrong alike, whether the id exists or not", async () => {
    const token = await createToken();
    const wrong: Token[] = [
      { ...token, secret: `ws-${"a".repeat(32)}` },
      { ...token, secret: token.secret.toUpperCase() },
      { ...token, id: `wk-${"a".repeat(26)}` },
      { ...token, id: `${token.id}=` },
      { id: "1", secret: "2" },
    ];
    const answers = await Promise.all(
      wrong.map(async (credential) => await curl("private", "/json", ...modal(credential))),
    );
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({
      status: 401,
      challenge: 'Bearer realm="postern", error="invalid_token"',
    });
    expect(JSON.parse(answers[0]?.body ?? "")).toMatchObject({ code: "invalid_credentials" });
    const half = await curl("private", "/json", "-H", `Modal-Key: ${token.id}`);
    expect(JSON.parse(half.body)).toMatchObject({ code: "missing_credentials" });
  });

  test("is closed to a token for another app or environment", async () => {
    const other = await createToken("--app", "voice");
    const answer = await curl("private", "/json", ...modal(other));
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "forbidden" });
    const own = await createToken("--app", "voice,e2e", "--env", "main");
    expect((await curl("private", "/json", ...modal(own))).status).toBe(200);
  });

  test("refuses a WebSocket without credentials before any box is asked", async () => {
    const answer = await curl(
      "private",
      "/ws",
      "-H",
      "Connection: Upgrade",
      "-H",
      "Upgrade: websocket",
      "-H",
      "Sec-WebSocket-Version: 13",
      "-H",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    );
    expect(answer.status).toBe(401);
  });

  test("closes within 5 s of a revocation, under requests, and stays closed", async () => {
    const token = await createToken();
    const headers = { "modal-key": token.id, "modal-secret": token.secret };
    const ask = async () => (await send(postern.address("private"), "/json", { headers })).status;
    expect(await ask()).toBe(200);
    await command("proxy-token", "revoke", token.id);
    const revokedAt = performance.now();
    let closedAfterMs: number | undefined;
    while (closedAfterMs === undefined) {
      const passedMs = performance.now() - revokedAt;
      expect(passedMs).toBeLessThan(REVOKED_WITHIN_MS);
      if ((await ask()) === 401) closedAfterMs = passedMs;
    }
    console.log(`revoked: closed after ${(closedAfterMs / 1000).toFixed(2)} s`);
    for (let round = 0; round < 20; round++) expect(await ask()).toBe(401);
  });

  test("makes no object and no file for guesses", async () => {
    const files = () =>
      (readdirSync(postern.stateDirectory, { recursive: true }) as string[])
        .filter((file) => !/-(?:wal|shm|journal)$/.test(file))
        .toSorted();
    const before = files();
    const letters = "abcdefghijklmnopqrstuvwxyz234567";
    for (let guess = 0; guess < 500; guess++) {
      const id = `wk-${letters[guess % 32]}${letters[(guess >> 5) % 32]}${"q".repeat(24)}`;
      const headers = { "modal-key": id, "modal-secret": "ws-x" };
      expect((await send(postern.address("private"), "/json", { headers })).status).toBe(401);
    }
    expect(files()).toEqual(before);
  });
});

describe("the state directory", () => {
  test("keeps key and first token for its owner alone", () => {
    for (const file of ["key", "profile.toml", "box/identity.json"]) {
      expect(statSync(join(postern.stateDirectory, file)).mode & 0o777).toBe(0o600);
    }
  });

  test("keeps tokens across restarts, and the same first one", async () => {
    const token = await createToken();
    const profile = join(postern.stateDirectory, "profile.toml");
    const before = readFileSync(profile, "utf8");
    const { port, stateDirectory } = postern;
    await postern.stop();
    postern = await startUp(ENDPOINTS, { port, stateDirectory });
    expect(readFileSync(profile, "utf8")).toBe(before);
    expect((await curl("private", "/json", ...modal(token))).status).toBe(200);
  });
});
