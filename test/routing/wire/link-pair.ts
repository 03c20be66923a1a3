/** Both ends of a link without a network: messages wait in two queues until a test delivers or drops them. */
import { packFrames } from "../../../routing/wire/frames.ts";
import { PROTOCOL_VERSIONS } from "../../../routing/wire/limits.ts";
import { type Acceptor, Multiplexer } from "../../../routing/wire/multiplexer.ts";

export class LinkPair {
  readonly gateway: Multiplexer;
  readonly agent: Multiplexer;
  readonly toAgent: Uint8Array[] = [];
  readonly toGateway: Uint8Array[] = [];
  readonly controls: string[] = [];
  /** The gateway has lazy frames that nothing has taken along yet. */
  lazy = false;

  constructor(acceptor: Acceptor, firstStream = 1) {
    this.gateway = new Multiplexer({
      role: "gateway",
      firstStream,
      onPending: () => undefined,
      onMessage: (message) => {
        post(this.gateway, this.toAgent);
        this.toAgent.push(Uint8Array.from(message));
      },
      onLazy: () => {
        this.lazy = true;
      },
      onControl: (_type, text) => this.controls.push(text),
    });
    this.agent = new Multiplexer({
      role: "agent",
      acceptor,
      onPending: () => undefined,
      onControl: (_type, text) => this.controls.push(text),
    });
    const version = Math.max(...PROTOCOL_VERSIONS);
    this.gateway.speak(version);
    this.agent.speak(version);
  }

  /** Packs what each end has to send into a message on its way. */
  flush(): void {
    this.lazy = false;
    post(this.gateway, this.toAgent);
    post(this.agent, this.toGateway);
  }

  /** The next message arrives at the agent; false when none is on its way. */
  deliverToAgent(): boolean {
    const message = this.toAgent.shift();
    if (message === undefined) return false;
    this.agent.receive(message);
    // The agent's link reads on into the buffer of a message: what was kept of it without a copy is spoilt.
    message.fill(0xee);
    return true;
  }

  deliverToGateway(): boolean {
    const message = this.toGateway.shift();
    if (message === undefined) return false;
    this.gateway.receive(message);
    return true;
  }

  /** One round trip and a half: what is on its way arrives, and so do the answers to it. */
  exchange(): void {
    for (let half = 0; half < 3; half += 1) {
      this.flush();
      while (this.deliverToAgent());
      while (this.deliverToGateway());
    }
  }

  /** The link breaks: what is on its way is gone. */
  cut(): void {
    this.toAgent.length = 0;
    this.toGateway.length = 0;
    this.gateway.lost();
    this.agent.lost();
  }
}

function post(end: Multiplexer, queue: Uint8Array[]): void {
  const frames = end.takeFrames();
  if (frames.length > 0) queue.push(Buffer.concat(packFrames(frames)));
}
