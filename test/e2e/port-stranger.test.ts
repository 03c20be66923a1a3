/** Another program of the machine that listens on [::1] at a container's port gets none of its requests. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort, temporaryDirectory } from "../support/temporary.ts";

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = createServer();
  server.once("error", () => resolve(false));
  server.listen(0, "::1", () => server.close(() => resolve(true)));
});

/**
 * Answers on one address of $PORT, prints each connection, and each request with its authorization. With LATE it listens
 * when there is a file of that name.
 */
function serverAt(host: string, name: string): [string, ...string[]] {
  const text = `
    const server = require("node:http").createServer((request, response) => {
      console.log("asked " + request.url + " " + request.headers.authorization);
      response.end("${name}");
    });
    server.on("connection", () => console.log("connected"));
    const place = { port: Number(process.env.PORT), host: "${host}", ipv6Only: true };
    const listen = () => {
      if (process.env.LATE && !require("node:fs").existsSync(process.env.LATE)) return setTimeout(listen, 20);
      server.listen(place, () => console.log("listens"));
    };
    console.log("loads");
    listen();`;
  return [process.execPath, "-e", text];
}

/** Another program at [::1] of this port. */
async function stranger(port: number): Promise<ManagedProcess> {
  const managed = new ManagedProcess(serverAt("::1", "stranger"), {
    env: { ...process.env, PORT: `${port}` },
  });
  onTestFinished(async () => await managed.kill());
  await managed.waitForOutput(/^listens$/m);
  return managed;
}

test.runIf(hasIpv6).each(["before", "after"])(
  "a program that came to [::1] %s the container is not taken for it while that loads",
  async (when) => {
    const port = await freePort();
    const early = when === "before" ? await stranger(port) : undefined;
    const late = join(temporaryDirectory(), "listen");
    const gateway = await startUp([
      {
        function: "web",
        web_server: serverAt("127.0.0.1", "container"),
        env: { LATE: late },
        port,
      },
    ]);
    onTestFinished(async () => await gateway.stop());
    const headers = { authorization: "Bearer secret" };
    const answering = send(gateway.address(), "/private", { headers });
    await gateway.process.waitForErrorOutput(/loads/);
    const other = early ?? (await stranger(port));
    // The agent looks at each connection's owner before the next one. It makes none to an address that was taken before.
    if (when === "after") await other.waitForOutput(/connected[^]*connected/);
    writeFileSync(late, "");
    expect((await answering).text).toBe("container");
    await gateway.process.waitForErrorOutput(/asked \/private Bearer secret/);
    expect(other.stdout).not.toContain("asked");
  },
);
