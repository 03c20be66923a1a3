/** Tells its lifespan, the stop of its calls, and what its process has. */
import { spawnSync } from "node:child_process";

import type { Application } from "../../../../origin-gpu/module/asgi.d.ts";

interface State {
  readonly startedBy: string;
}

const app: Application = async (scope, receive, send) => {
  if (scope.type === "lifespan") {
    for (;;) {
      const { type } = await receive();
      console.log(type);
      if (type === "lifespan.startup") scope.state["startedBy"] = "lifespan";
      await send({ type: `${type}.complete` as "lifespan.startup.complete" });
      if (type === "lifespan.shutdown") return;
    }
  }
  if (scope.type !== "http") throw new Error(`${scope.type} is not supported`);
  if (scope.path === "/wait") {
    console.log("waits");
    await receive();
    console.log((await receive()).type);
    return;
  }
  const { startedBy } = scope.state as unknown as State;
  const open = spawnSync("sh", ["-c", "ls /proc/self/fd"], { encoding: "utf8" }).stdout;
  const body = JSON.stringify({
    startedBy,
    words: process.argv.slice(2),
    descriptorsOfChild: open.trim().split("\n").map(Number),
  });
  await send({ type: "http.response.start", status: 200 });
  await send({ type: "http.response.body", body });
};

export default app;
