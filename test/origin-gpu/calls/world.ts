/**
 * A whole small world for calls: gateway ends, links that break, an agent with real calls, apps and
 * clients. Only the network, the clock and the app are fake, and a test moves each of them by hand. Every
 * byte that arrives anywhere is compared with the one that was sent.
 */
import { GIB, KIB } from "../../../base/units.ts";
import { SILENT } from "../../../base/observer.ts";
import { SharedRoom } from "../../../origin-gpu/calls/shared-room.ts";
import type { Call, AppWork } from "../../../origin-gpu/calls/call.ts";
import { CallRegistry, type CallRunner } from "../../../origin-gpu/calls/call-registry.ts";
import { RingBudget } from "../../../origin-gpu/calls/response/replay-ring.ts";
import { INITIAL_WINDOW_BYTES, MAX_DATA_BYTES } from "../../../routing/wire/limits.ts";
import { parseRequestHead } from "../../../routing/wire/heads.ts";
import { type Failure, parseAttach, parseFailure } from "../../../routing/wire/messages.ts";
import type {
  Acceptor,
  Stream,
  StreamEnding,
  StreamEvents,
} from "../../../routing/wire/multiplexer.ts";
import { LinkPair } from "../../routing/wire/link-pair.ts";

/** What lies between the object and the client's own connection. */
const PIPE_BYTES = 256 * KIB;

/** Bytes that no two offsets nearby share; every body and response is a part of it. */
const PATTERN = Uint8Array.from({ length: 6 * 1024 * KIB }, (_, i) => (i * 2654435761) >>> 11);

const NO_BODY = new Uint8Array(0);

/** The `length` bytes from `offset` on of what one call sends in one direction. */
function pattern(shift: number, offset: number, length: number): Uint8Array {
  return PATTERN.subarray(shift + offset, shift + offset + length);
}

function expectPattern(shift: number, offset: number, bytes: Uint8Array, who: string): void {
  if (Buffer.compare(bytes, pattern(shift, offset, bytes.length)) !== 0) {
    throw new Error(`${who}: wrong bytes at ${offset}`);
  }
}

/** Promises that can settle have settled. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What a call is to be. */
export interface Script {
  readonly bodyBytes: number;
  /** The Worker has the whole body and can send it again. */
  readonly whole: boolean;
  readonly answerBytes: number;
  readonly declaresLength: boolean;
  readonly eager: boolean;
  /** The app reads the whole body before it answers. */
  readonly readsFirst: boolean;
}

/** The app's side of one execution of a call. */
export class App implements AppWork {
  readonly call: Call;
  readonly script: Script;
  readonly shift: number;
  started = false;
  paused = false;
  aborted: string | undefined;
  produced = 0;
  answered = false;
  finished = false;
  failed = false;
  bodyRead = 0;
  bodyWhole = false;
  bodyBroken = false;
  #chunks: AsyncGenerator<Uint8Array> | undefined;
  #reading = false;

  constructor(call: Call, script: Script, shift: number) {
    this.call = call;
    this.script = script;
    this.shift = shift;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  abort(reason: string): void {
    this.aborted = reason;
  }

  /** The container is ready. */
  start(): void {
    if (this.started || this.call.over) return;
    this.started = true;
    this.call.start(this);
    const whole = this.call.body.whole();
    if (whole === undefined) this.#chunks = this.call.body.chunks();
    else {
      this.#read(whole ?? NO_BODY);
      this.bodyWhole = true;
    }
  }

  /** Takes the next chunk of the body, whenever it comes. */
  read(): void {
    if (this.#chunks === undefined || this.#reading) return;
    this.#reading = true;
    this.#chunks.next().then(
      ({ done, value }) => {
        this.#reading = false;
        if (done === true) this.bodyWhole = true;
        else this.#read(value);
      },
      () => {
        this.bodyBroken = true;
      },
    );
  }

  #read(bytes: Uint8Array): void {
    expectPattern(this.shift, this.bodyRead, bytes, "the app");
    this.bodyRead += bytes.length;
  }

  get #silent(): boolean {
    return !this.started || this.finished || this.failed || this.aborted !== undefined;
  }

  /** Answers with its head first, then with up to `bytes` of its body, then with the end. */
  produce(bytes: number): void {
    const { answerBytes, declaresLength, eager, readsFirst } = this.script;
    if (this.#silent || (readsFirst && !this.bodyWhole)) return;
    if (!this.answered) {
      this.answered = true;
      const headers = declaresLength ? ["content-length", String(answerBytes)] : [];
      this.call.respond({ status: 200, headers }, eager);
      return;
    }
    if (this.paused) return;
    const length = Math.min(bytes, answerBytes - this.produced);
    if (length > 0) {
      const chunk = pattern(this.shift, this.produced, length);
      this.produced += length;
      this.call.append(chunk);
    } else if (this.produced === answerBytes) {
      this.finished = true;
      this.call.complete();
    }
  }

  fail(): void {
    if (this.#silent) return;
    this.failed = true;
    this.call.fail({ code: "origin_error", detail: "the app failed" });
  }
}

/** One client with the Worker and the stream that serves it. */
export class Client implements StreamEvents {
  readonly id: string;
  readonly script: Script;
  readonly shift: number;
  readonly openedAt: number;
  phase: "open" | "detached" | "done" | "failed" | "left" = "open";
  failure: Failure | undefined;
  stream: Stream | undefined;
  link = 0;
  headed = false;
  /** Bytes of the response that the client has. */
  got = 0;
  bodySent = 0;
  #ended = false;
  #buffered: Uint8Array[] = [];
  #pipe: Uint8Array[] = [];
  #piped = 0;

  constructor(id: string, script: Script, shift: number, openedAt: number) {
    this.id = id;
    this.script = script;
    this.shift = shift;
    this.openedAt = openedAt;
  }

  onHead(_head: string, body: Uint8Array, end: boolean): void {
    this.headed = true;
    this.onData(body, end);
  }

  onData(bytes: Uint8Array, end: boolean): void {
    if (bytes.length > 0) this.#buffered.push(bytes.slice());
    this.#ended = end;
  }

  onEnd(ending: StreamEnding): void {
    this.stream = undefined;
    this.#buffered = [];
    this.#pipe = [];
    this.#piped = 0;
    this.#ended = false;
    if (ending.kind !== "link_lost") {
      this.#fail(parseFailure("failure" in ending ? ending.failure : "{}"));
    } else if (!this.headed && !this.script.whole) {
      this.#fail({ code: "upload_interrupted", detail: "" });
    } else this.phase = "detached";
  }

  #fail(failure: Failure): void {
    this.phase = "failed";
    this.failure = failure;
  }

  giveUp(): void {
    this.#fail({ code: "call_lost", detail: "" });
  }

  /** Sends up to `bytes` of the request body, with its end if that is reached. */
  sendBody(bytes: number): void {
    const { stream, script } = this;
    if (stream === undefined || stream.localClosed) return;
    const length = Math.min(bytes, stream.window, MAX_DATA_BYTES, script.bodyBytes - this.bodySent);
    const part = pattern(this.shift, this.bodySent, length);
    this.bodySent += length;
    const end = this.bodySent === script.bodyBytes;
    if (length > 0 || end) stream.sendData([part], end);
  }

  /** The Worker reads up to `chunks` chunks from the object. */
  drain(chunks: number): void {
    for (let count = 0; count < chunks; count += 1) {
      const [first] = this.#buffered;
      const part = first?.subarray(0, PIPE_BYTES - this.#piped) ?? NO_BODY;
      if (first === undefined || part.length === 0) break;
      if (part.length === first.length) this.#buffered.shift();
      else this.#buffered[0] = first.subarray(part.length);
      this.#pipe.push(part);
      this.#piped += part.length;
      this.stream?.consume(part.length);
    }
    if (this.phase === "open" && this.#ended && this.#buffered.length === 0) this.#done();
  }

  /** The client itself takes what the Worker has. */
  take(): void {
    for (const bytes of this.#pipe) {
      expectPattern(this.shift, this.got, bytes, "the client");
      this.got += bytes.length;
    }
    this.#pipe = [];
    this.#piped = 0;
  }

  #done(): void {
    this.phase = "done";
    this.stream?.finish();
    this.stream = undefined;
    this.take();
    if (this.got !== this.script.answerBytes) throw new Error("the client: a clean end too early");
  }

  leave(): void {
    if (this.phase !== "open" && this.phase !== "detached") return;
    this.phase = "left";
    this.stream?.cancel();
    this.stream = undefined;
  }

  breakBody(): void {
    const { stream } = this;
    if (stream === undefined || stream.localClosed) return;
    stream.reset({ code: "upload_interrupted", detail: "" });
    this.stream = undefined;
    this.#fail({ code: "upload_interrupted", detail: "" });
  }
}

/** One of the box's links with the two ends' own idea of whether it is there. */
export class Wire {
  pair: LinkPair;
  gatewayUp = true;
  agentUp = true;
  congested = false;
  readonly #drained = new Set<() => void>();

  constructor(acceptor: (wire: Wire) => Acceptor) {
    this.pair = new LinkPair(acceptor(this));
  }

  whenDrained(resume: () => void): void {
    this.#drained.add(resume);
  }

  relieve(): void {
    this.congested = false;
    const waiting = [...this.#drained];
    this.#drained.clear();
    for (const resume of waiting) resume();
  }

  /** A message crosses, if both ends are there. */
  deliver(toAgent: boolean): boolean {
    this.pair.flush();
    if (!this.gatewayUp || !this.agentUp) {
      this.pair.toAgent.length = 0;
      this.pair.toGateway.length = 0;
    }
    return toAgent ? this.pair.deliverToAgent() : this.pair.deliverToGateway();
  }

  loseGateway(): void {
    if (!this.gatewayUp) return;
    this.gatewayUp = false;
    this.pair.gateway.lost();
  }

  loseAgent(): void {
    if (!this.agentUp) return;
    this.agentUp = false;
    this.#drained.clear();
    this.congested = false;
    this.pair.agent.lost();
  }

  /** The agent dials anew; an end that had not noticed the loss notices it now. */
  redial(acceptor: (wire: Wire) => Acceptor): void {
    if (this.gatewayUp && this.agentUp) return;
    this.loseGateway();
    this.loseAgent();
    this.pair = new LinkPair(acceptor(this));
    this.gatewayUp = this.agentUp = true;
  }
}

export interface WorldOptions {
  /** Moves the clock that the call's own timer runs by. */
  advanceTimers: (ms: number) => void;
  rings?: RingBudget;
}

export class World {
  readonly #advanceTimers: (ms: number) => void;
  readonly rings: RingBudget;
  readonly calls: CallRegistry;
  readonly apps: App[] = [];
  readonly clients: Client[] = [];
  readonly wires: Wire[];
  readonly executions = new Map<string, number>();
  /** Milliseconds. */
  now = 1000;
  readonly #scripts = new Map<string, { script: Script; shift: number }>();
  #soon: (() => void)[] = [];
  readonly #later = new Set<() => void>();

  constructor({ advanceTimers, rings = new RingBudget() }: WorldOptions, links: number) {
    this.#advanceTimers = advanceTimers;
    this.rings = rings;
    this.calls = new CallRegistry({
      context: {
        now: () => this.now,
        soon: (callback) => this.#soon.push(callback),
        later: (callback) => this.#later.add(callback),
        aMoment: (call) => this.#later.add(() => call.onMoment()),
        rings,
        heads: new SharedRoom(GIB),
        observer: SILENT,
      },
      durable: undefined,
    });
    this.calls.onWelcomed();
    // Calls come later than the welcome.
    this.now += 1;
    this.wires = Array.from({ length: links }, () => new Wire(this.acceptor));
  }

  readonly acceptor = (wire: Wire): Acceptor => ({
    onOpen: (stream, text, body, end) =>
      this.calls.open(stream, wire, parseRequestHead(text), { body, end }, this.#runner),
    onAttach: (stream, text) => this.calls.attach(stream, wire, parseAttach(text)),
  });

  readonly #runner: CallRunner = {
    resultTtlMs: 0,
    run: (call) => {
      const id = call.head.callId;
      this.executions.set(id, (this.executions.get(id) ?? 0) + 1);
      const { script, shift } = this.#scripts.get(id) as { script: Script; shift: number };
      this.apps.push(new App(call, script, shift));
    },
  };

  open(script: Script, link: number): Client {
    const id = `call-${this.clients.length}`;
    const shift = (this.clients.length * 7919) % (256 * KIB);
    this.#scripts.set(id, { script, shift });
    const client = new Client(id, script, shift, this.now);
    this.clients.push(client);
    client.link = link % this.wires.length;
    this.#open(client);
    return client;
  }

  #open(client: Client): void {
    const { gateway } = this.#wire(client).pair;
    const { bodyBytes, whole } = client.script;
    if (whole && bodyBytes > Math.min(INITIAL_WINDOW_BYTES, gateway.requestWindow)) {
      throw new Error("a script with a whole body that fits no opening frame");
    }
    const body = whole ? pattern(client.shift, 0, bodyBytes) : NO_BODY;
    client.phase = "open";
    client.bodySent = body.length;
    const head = JSON.stringify({
      callId: client.id,
      endpoint: "e",
      method: "POST",
      target: "/",
      headers: [],
    });
    const stream = gateway.open(head, body, whole, client);
    // A link that is known to be lost ends the stream before it is handed out.
    client.stream = stream?.closed === false ? stream : undefined;
  }

  #wire({ link }: Client): Wire {
    return this.wires[link] as Wire;
  }

  /** The Worker attaches again over the given link, as gateway/worker/proxy/proxy-request.ts does. */
  attach(client: Client, link: number): void {
    client.link = link % this.wires.length;
    if (client.phase !== "detached" || !this.#wire(client).gatewayUp) return;
    client.phase = "open";
    const request = JSON.stringify({ callId: client.id, offset: client.got });
    const events: StreamEvents = {
      onHead: (head, body, end) => client.onHead(head, body, end),
      onData: (bytes, end) => client.onData(bytes, end),
      onEnd: (ending) => this.#attachmentOver(client, ending),
    };
    client.stream = this.#wire(client).pair.gateway.attach(request, events);
  }

  #attachmentOver(client: Client, ending: StreamEnding): void {
    const failure = "failure" in ending ? parseFailure(ending.failure) : undefined;
    if (client.headed || failure?.code !== "call_lost") {
      client.onEnd(ending);
      return;
    }
    const neverSeen = (failure.knownSinceMs ?? 0) > this.now - client.openedAt;
    if (neverSeen) this.#open(client);
    else client.giveUp();
  }

  /** The next turn of the agent's event loop. */
  turn(): void {
    const callbacks = this.#soon;
    this.#soon = [];
    for (const callback of callbacks) callback();
  }

  advance(ms: number): void {
    this.now += ms;
    const callbacks = [...this.#later];
    this.#later.clear();
    for (const callback of callbacks) callback();
    this.#advanceTimers(ms);
  }

  /** Everybody goes one step ahead; what is on its way arrives. */
  flow(chunks: number, bytes: number): void {
    for (const client of this.clients) {
      client.sendBody(bytes);
      client.take();
      client.drain(chunks);
    }
    for (const app of this.apps) {
      app.start();
      app.read();
      app.produce(bytes);
    }
    this.turn();
    this.advance(5);
    for (const wire of this.wires) {
      while (wire.deliver(true));
      while (wire.deliver(false));
    }
  }

  /** Whether the agent knows no call any more. */
  async idle(): Promise<boolean> {
    let idle = false;
    void this.calls.idle().then(() => {
      idle = true;
    });
    await turn();
    return idle;
  }

  /** Everything that has no hand of its own runs until nothing changes: what is under way comes home. */
  async finish(): Promise<void> {
    for (let quiet = 0; quiet < 8;) {
      const before = this.#progress();
      for (const wire of this.wires) {
        wire.redial(this.acceptor);
        wire.relieve();
      }
      for (const [index, client] of this.clients.entries()) this.attach(client, index);
      this.flow(100, 60 * KIB);
      await turn();
      quiet = before === this.#progress() ? quiet + 1 : 0;
    }
  }

  #progress(): string {
    const clients = this.clients.map(({ phase, got, bodySent }) => [phase, got, bodySent]);
    const apps = this.apps.map((app) => [app.produced, app.finished, app.bodyRead, app.bodyWhole]);
    return JSON.stringify([clients, apps]);
  }
}
