/** Another program of the machine that listens on [::1] at a container's port gets none of its requests. */
import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { startUp } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { ManagedProcess } from "../support/processes.ts";
import { freePort } from "../support/temporary.ts";

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = createServer();
  server.once("error", () => resolve(false));
  server.listen(0, "::1", () => server.close(() => resolve(true)));
});

/** Answers on one address of $PORT, and prints each request with its authorization. */
function serverAt(host: string, name: string): [string, ...string[]] {
  const text = `
    const server = require("node:http").createServer((request, response) => {
      console.log("asked " + request.url + " " + request.headers.authorization);
      response.end("${name}");
    });
    const place = { port: Number(process.env.PORT), host: "${host}", ipv6Only: true };
    const delayMs = Number(process.env.LOADING_MS ?? 0);
    setTimeout(() => server.listen(place, () => console.log("listens")), delayMs);`;
  return [process.execPath, "-e", text];
}

test.runIf(hasIpv6)(
  "a program that was at [::1] before the container is not taken for it while that loads",
  async () => {
    const port = await freePort();
    const stranger = new ManagedProcess(serverAt("::1", "stranger"), {
      env: { ...process.env, PORT: `${port}` },
    });
    onTestFinished(async () => await stranger.kill());
    await stranger.waitForOutput(/^listens$/m);
    const gateway = await startUp([
      {
        function: "web",
        web_server: serverAt("127.0.0.1", "container"),
        env: { LOADING_MS: "3000" },
        port,
      },
    ]);
    onTestFinished(async () => await gateway.stop());
    const headers = { authorization: "Bearer secret" };
    const answer = await send(gateway.address(), "/private", { headers });
    expect(answer.text).toBe("container");
    await gateway.process.waitForErrorOutput(/asked \/private Bearer secret/);
    expect(stranger.stdout).not.toContain("asked");
  },
);
