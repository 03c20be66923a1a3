/**
 * Tells an app when its process starts and when it is to end (ASGI, lifespan 2.0). An app that throws at the scope
 * itself knows no lifespan, and is served without. One that throws after it has received `lifespan.startup` has failed
 * to start: ASGI would have that served too, and nobody would see why it does not work.
 */
import type {
  Application,
  LifespanCompleteEvent,
  LifespanFailedEvent,
  LifespanScope,
  SentEvent,
} from "./asgi.d.ts";
import { EventQueue } from "./event-queue.ts";
import { report } from "./report.ts";
import { handled, outOfOrder } from "./wrong-events.ts";

type Step = "startup" | "shutdown";

/** Undefined: it went well, or the app knows no lifespan. */
export type LifespanFailure = string | undefined;

export class Lifespan {
  readonly state: Record<string, unknown> = {};
  readonly #events = new EventQueue();
  readonly #done = {
    startup: Promise.withResolvers<LifespanFailure>(),
    shutdown: Promise.withResolvers<LifespanFailure>(),
  };
  #step: Step | undefined = "startup";
  #hasReceived = false;
  /** Whether the app has told of its start and still runs. */
  #isServed = false;

  async startup(app: Application): Promise<LifespanFailure> {
    this.#events.push({ type: "lifespan.startup" });
    void this.#run(app);
    return await this.#done.startup.promise;
  }

  async shutdown(): Promise<LifespanFailure> {
    if (!this.#isServed) return undefined;
    this.#step = "shutdown";
    this.#events.end({ type: "lifespan.shutdown" });
    return await this.#done.shutdown.promise;
  }

  async #run(app: Application): Promise<void> {
    const scope: LifespanScope = {
      type: "lifespan",
      asgi: { version: "3.0", spec_version: "2.0" },
      state: this.state,
    };
    const receive = async () => {
      const event = await this.#events.take();
      this.#hasReceived = true;
      return event;
    };
    let failure: LifespanFailure;
    try {
      await app(scope, receive, (event) => handled(this.#send(event)));
    } catch (error) {
      if (this.#hasReceived) {
        if (this.#step !== undefined) report(`the app failed in its lifespan`, error);
        failure = String(error);
      }
    }
    this.#isServed = false;
    this.#done.startup.resolve(failure);
    this.#done.shutdown.resolve(failure);
  }

  async #send(event: SentEvent): Promise<void> {
    const step = this.#step;
    const done = `lifespan.${step}.complete`;
    if (step === undefined || (event.type !== done && event.type !== `lifespan.${step}.failed`)) {
      throw outOfOrder(step === undefined ? "no lifespan event" : `${done} or failed`, event);
    }
    this.#step = undefined;
    const { type, message = "" } = event as LifespanCompleteEvent & LifespanFailedEvent;
    this.#isServed = type === done;
    this.#done[step].resolve(type === done ? undefined : message || "it gave no reason");
  }
}
