/**
 * An agent that says what it wants, frame by frame, through the real Worker and the real objects. It dials again
 * whenever the gateway closes its link, and ends each stream that its script leaves open.
 */
import { env as bindings } from "cloudflare:test";
import type { Env } from "../../../gateway/contracts/env.ts";
import { originStub } from "../../../gateway/contracts/stubs.ts";
import {
  FRAME,
  frame,
  type FrameType,
  packFrames,
  uint32,
  unpackFrames,
} from "../../../routing/wire/frames.ts";
import { PROTOCOL_VERSIONS } from "../../../routing/wire/limits.ts";
import { announcement, dial, enrolledBox } from "../fake-agent.ts";

const env = bindings as unknown as Env;
const encoder = new TextEncoder();
const INCARNATION = "e".repeat(32);

const REFUSED: readonly EvilFrame[] = [{ type: FRAME.REFUSE, text: '{"code":"call_lost"}' }];

/** A frame of a script. `head` stands behind its length, as in HEAD; `text` as it is. */
export interface EvilFrame {
  readonly type: number;
  readonly end?: boolean;
  readonly head?: string;
  readonly text?: string;
  /** Zeros behind the text. */
  readonly bytes?: number;
  /** On another stream than the one that asks; 0 is the link itself. */
  readonly stream?: number;
}

export class EvilAgent {
  /** Answers the next OPEN. */
  script: readonly EvilFrame[] = [];
  /** Answers the next ATTACH; those after it are refused. A gateway attaches again where its link breaks. */
  attachScript: readonly EvilFrame[] = REFUSED;
  /** Why the gateway has closed links. */
  readonly closes: string[] = [];
  readonly #box: string;
  #socket: WebSocket | undefined;
  #isLeaving = false;

  constructor(box: string) {
    this.#box = box;
  }

  /** Connects, and announces one endpoint: `local--evil-<box>`. */
  async connect(): Promise<void> {
    const response = await dial(await enrolledBox(this.#box), INCARNATION);
    const socket = response.webSocket;
    if (socket === null) throw new Error(`refused: ${response.status} ${await response.text()}`);
    this.#socket = socket;
    const welcomed = Promise.withResolvers<void>();
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return;
      unpackFrames(new Uint8Array(data), ({ type, stream }) => {
        if (type === FRAME.WELCOME) welcomed.resolve();
        if (type === FRAME.OPEN) this.#answer(socket, this.script, stream);
        if (type === FRAME.ATTACH) {
          const script = this.attachScript;
          this.attachScript = REFUSED;
          this.#answer(socket, script, stream);
        }
      });
    });
    socket.addEventListener("close", ({ code, reason }) => {
      if (this.#isLeaving) return;
      this.closes.push(`${code} ${reason}`);
      if (this.#socket === socket) void this.connect();
    });
    socket.accept();
    const hello = {
      versions: PROTOCOL_VERSIONS,
      agent: "evil",
      incarnation: INCARNATION,
      links: 1,
      endpoints: [announcement("evil", this.#box)],
    };
    this.#send(socket, [{ type: FRAME.HELLO, text: JSON.stringify(hello), stream: 0 }], 0);
    await welcomed.promise;
  }

  /** Waits until its link is up. */
  async isUp(): Promise<void> {
    while (!(await originStub(env, "local", this.#box, 0).isUp(INCARNATION))) {
      await scheduler.wait(5);
    }
  }

  leave(): void {
    this.#isLeaving = true;
    this.#socket?.close(1000, "done");
  }

  #answer(socket: WebSocket, script: readonly EvilFrame[], stream: number): void {
    this.#send(socket, script, stream);
    this.#send(socket, [{ type: FRAME.RESET, text: '{"code":"origin_error"}' }], stream);
  }

  #send(socket: WebSocket, frames: readonly EvilFrame[], asking: number): void {
    for (const { type, end, head, text, bytes = 0, stream = asking } of frames) {
      if (socket.readyState !== WebSocket.READY_STATE_OPEN) return;
      const parts: Uint8Array[] = [];
      if (head !== undefined) {
        const json = encoder.encode(head);
        parts.push(uint32(json.length), json);
      }
      if (text !== undefined) parts.push(encoder.encode(text));
      parts.push(new Uint8Array(bytes));
      const [message] = packFrames([frame(type as FrameType, stream, parts, end)]);
      if (message !== undefined) socket.send(message);
    }
  }
}
