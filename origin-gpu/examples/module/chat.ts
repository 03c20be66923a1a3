/** A room of WebSockets: each hears what the others say. */
import type { Application, Send } from "postern/asgi";

interface Room {
  readonly members: Set<Send>;
}

const app: Application = async (scope, receive, send) => {
  if (scope.type === "lifespan") {
    await receive();
    scope.state["room"] = { members: new Set() } satisfies Room;
    await send({ type: "lifespan.startup.complete" });
    await receive();
    await send({ type: "lifespan.shutdown.complete" });
    return;
  }
  if (scope.type !== "websocket") {
    await send({ type: "http.response.start", status: 426, headers: [["upgrade", "websocket"]] });
    await send({ type: "http.response.body", body: "open a WebSocket\n" });
    return;
  }
  const { members } = scope.state["room"] as Room;
  await receive();
  await send({ type: "websocket.accept" });
  members.add(send);
  try {
    for (;;) {
      const event = await receive();
      if (event.type !== "websocket.receive") return;
      const text = event.text ?? `${event.bytes.length} bytes`;
      const others = [...members].filter((member) => member !== send);
      // One that leaves at this moment ends no other one.
      await Promise.allSettled(
        others.map(async (member) => await member({ type: "websocket.send", text })),
      );
    }
  } finally {
    members.delete(send);
  }
};

export default app;
