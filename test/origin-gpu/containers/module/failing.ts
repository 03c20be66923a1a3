import type { Application } from "../../../../origin-gpu/module/asgi.d.ts";

export const app: Application = async (_, receive, send) => {
  await receive();
  await send({ type: "lifespan.startup.failed", message: "no GPU here" });
};
