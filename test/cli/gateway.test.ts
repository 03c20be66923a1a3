/** The gateway as a process: how it starts, what it leaves behind, how it ends. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { commandLine, isAlive, processTree, untilGone } from "../support/processes.ts";
import { RawConnection } from "../support/raw-http.ts";
import { startPostern, startPosternGateway } from "./postern.ts";

/** A Node on this machine that can't run the command by itself; the wrapper's tests need one. */
const OLD_NODE = oldNode();

async function health(port: number): Promise<number> {
  const client = await RawConnection.connect(port);
  client.send(
    `GET /api/v1/health HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`,
  );
  const { status } = await client.response();
  client.socket.destroy();
  return status;
}

function workerdOf(pid: number): number {
  const found = processTree(pid).find((candidate) =>
    commandLine(candidate).includes("workerd serve"),
  );
  if (found === undefined) throw new Error("no workerd runs below the gateway");
  return found;
}

describe("a running gateway", () => {
  test("says where it is to other commands on this machine", async () => {
    const { process: gateway, port, state } = await startPosternGateway();
    const running = JSON.parse(readFileSync(join(state, "gateway.json"), "utf8")) as object;
    expect(running).toEqual({
      url: `http://localhost:${port}`,
      baseDomain: `localhost:${port}`,
      workerdPort: expect.any(Number) as number,
      pid: gateway.pid,
    });
    expect(await health(port)).toBe(200);
  });

  test.each(["never", "always"])(
    "starts a workerd that was killed again, on the same port, and clients only wait: --front %s",
    async (front) => {
      const { process: gateway, port, state } = await startPosternGateway(["--front", front]);
      const before = readFileSync(join(state, "gateway.json"), "utf8");
      const killed = workerdOf(gateway.pid);
      process.kill(killed, "SIGKILL");
      expect(await health(port)).toBe(200);
      expect(workerdOf(gateway.pid)).not.toBe(killed);
      expect(readFileSync(join(state, "gateway.json"), "utf8")).toBe(before);
      const { workerdPort } = JSON.parse(before) as { workerdPort: number };
      (await RawConnection.connect(workerdPort)).socket.destroy();
      await gateway.waitForErrorOutput(/workerd ended \(SIGKILL\); starting it again/);
    },
  );

  test("that is killed takes its workerd with it, and the next start finds its key again", async () => {
    const { process: gateway, state } = await startPosternGateway();
    const key = readFileSync(join(state, "key"), "utf8");
    const tree = processTree(gateway.pid);
    await gateway.kill();
    for (const pid of tree) await untilGone(pid);
    const again = startPostern(["gateway", "--port", "0", "--state", state]);
    await again.waitForOutput(/^http:/m);
    expect(readFileSync(join(state, "key"), "utf8")).toBe(key);
  });

  test.each([
    ["", true],
    [", also one that a full disk kept from being noted", false],
  ])("ends an orphan that still has the files before it opens them%s", async (_, isNoted) => {
    const { process: gateway, state } = await startPosternGateway();
    const orphan = workerdOf(gateway.pid);
    // The watcher goes first, so that nothing else ends the orphan.
    for (const pid of processTree(gateway.pid)) {
      if (commandLine(pid).startsWith("/bin/sh -c read")) process.kill(pid, "SIGKILL");
    }
    await gateway.kill();
    expect(isAlive(orphan)).toBe(true);
    onTestFinished(() => {
      if (isAlive(orphan)) process.kill(orphan, "SIGKILL");
    });
    if (!isNoted) rmSync(join(state, "run", "workerd.json"));
    // Somebody looks at the file that the orphan was started with.
    const reader = spawn("tail", ["-f", join(state, "run", "workerd.capnp")], { stdio: "ignore" });
    onTestFinished(() => void reader.kill());
    await once(reader, "spawn");
    const again = startPostern(["gateway", "--port", "0", "--state", state]);
    await again.waitForOutput(/^http:/m);
    expect(isAlive(orphan)).toBe(false);
    expect(reader.signalCode).toBeNull();
  });
});

describe("its end", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s: ends with 0, takes no more clients and leaves no process or file of its run",
    async (signal) => {
      const { process: gateway, port, state } = await startPosternGateway();
      const tree = processTree(gateway.pid);
      const idle = await RawConnection.connect(port);
      idle.send(`GET /api/v1/health HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`);
      await idle.response();
      expect(await gateway.stop(signal)).toEqual({ code: 0, signal: null });
      expect(await idle.ending()).toBe("end");
      expect(tree.filter(isAlive)).toEqual([]);
      expect(existsSync(join(state, "gateway.json"))).toBe(false);
      expect(existsSync(join(state, "run", "workerd.json"))).toBe(false);
    },
  );
});

describe.skipIf(OLD_NODE === undefined)("on a machine whose own Node is too old", () => {
  const node = OLD_NODE ?? "";

  test("the pinned Node runs the command, and its exit code and signals pass", async () => {
    const wrong = startPostern(["gatway"], { node });
    expect(await wrong.exited).toEqual({ code: 2, signal: null });
    const { process: gateway, port } = await startPosternGateway([], { node });
    expect(await health(port)).toBe(200);
    expect(await gateway.stop("SIGTERM")).toEqual({ code: 0, signal: null });
  });

  test("one Ctrl-C that arrives twice, from the terminal and the wrapper, still drains", async () => {
    const { process: wrapper } = await startPosternGateway([], { node });
    const [, child = 0] = processTree(wrapper.pid);
    process.kill(child, "SIGINT");
    expect(await wrapper.stop("SIGINT")).toEqual({ code: 0, signal: null });
  });

  test("killing the wrapper leaves nothing behind, and killing its child ends it", async () => {
    const { process: wrapper } = await startPosternGateway([], { node });
    const tree = processTree(wrapper.pid);
    expect(tree.length).toBeGreaterThan(2);
    await wrapper.kill();
    for (const pid of tree) await untilGone(pid);

    const { process: second } = await startPosternGateway([], { node });
    const [, child = 0] = processTree(second.pid);
    process.kill(child, "SIGKILL");
    expect(await second.exited).toEqual({ code: null, signal: "SIGKILL" });
  });
});

function oldNode(): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(":")) {
    const candidate = join(directory, "node");
    if (!existsSync(candidate)) continue;
    const version = execFileSync(candidate, ["--version"], { encoding: "utf8" });
    if (Number(/^v(\d+)/.exec(version)?.[1]) < 22) return candidate;
  }
  return undefined;
}

test("workerd refuses CONNECT and unknown methods, and closes the connection after CONNECT", async () => {
  const { port } = await startPosternGateway();
  const unknown = await RawConnection.connect(port);
  unknown.send(`M-SEARCH /x HTTP/1.1\r\nHost: nobody.localhost:${port}\r\n\r\n`);
  expect((await unknown.response()).status).toBe(501);
  unknown.socket.destroy();
  for (const target of ["/x", `nobody.localhost:${port}`, "192.0.2.1:443"]) {
    const client = await RawConnection.connect(port);
    client.send(`CONNECT ${target} HTTP/1.1\r\nHost: nobody.localhost:${port}\r\n\r\n`);
    expect((await client.response()).status).toBe(500);
    expect(await client.ending()).toBe("end");
  }
});

test.each([
  ["a loopback address", [], 500],
  ["an address of the network", ["--host", "0.0.0.0"], 501],
  ["the same behind a proxy", ["--host", "0.0.0.0", "--trusted-proxies", "192.0.2.1"], 500],
  ["the same, without the front", ["--host", "0.0.0.0", "--front", "never"], 500],
])("the front stands where strangers connect: %s", async (_what, flags, toConnect) => {
  const { port } = await startPosternGateway(flags);
  const client = await RawConnection.connect(port);
  client.send(`CONNECT /x HTTP/1.1\r\nHost: nobody.localhost:${port}\r\n\r\n`);
  expect((await client.response()).status).toBe(toConnect);
  // What follows is neither a tunnel's nor another request.
  expect(await client.ending()).toBe("end");
});

test("behind the front, what workerd answers by itself has a code", async () => {
  const { port } = await startPosternGateway(["--front", "always"]);
  for (const method of ["LINK", "M-SEARCH", "CONNECT"]) {
    const client = await RawConnection.connect(port);
    // Not in one read: the first eight bytes alone are easily told.
    client.send(method.slice(0, 3));
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.send(`${method.slice(3)} /x HTTP/1.1\r\nHost: nobody.localhost:${port}\r\n\r\n`);
    const { status, body } = await client.response();
    expect(status).toBe(501);
    expect(JSON.parse(body.toString())).toMatchObject({ code: "not_supported" });
    expect(await client.ending()).toBe("end");
  }
});

test.each(["auto", "always"])(
  "an upload that is refused gets the answer: --front %s",
  async (front) => {
    const { port } = await startPosternGateway(["--front", front]);
    const length = 32 * 1024 * 1024;
    const head = `POST / HTTP/1.1\r\nHost: nobody.localhost:${port}\r\nContent-Length: ${length}\r\n\r\n`;
    // Uploads that break off take nothing away from later ones, however many there were.
    for (let round = 0; round < 300; round += 1) {
      const client = await RawConnection.connect(port);
      client.send(`${head}the beginning`);
      await client.head();
      client.reset();
    }
    for (let round = 0; round < 20; round += 1) {
      const client = await RawConnection.connect(port);
      client.send(head);
      client.send(Buffer.alloc(length));
      expect((await client.response()).status).toBe(404);
      client.socket.destroy();
    }
  },
);
