/**
 * The real containers of one endpoint: starts and stops those that its pool numbers, and tells the pool what becomes
 * of them. Decides nothing.
 */
import { SECOND_MS } from "../../base/units.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import {
  type Container,
  type ContainerOptions,
  StartFailure,
  type UsePython,
  noticesOf,
} from "../containers/container.ts";
import { describeExit } from "../containers/exit-info.ts";
import type { LeftContainer } from "../containers/left-container.ts";
import type { LeftContainers } from "../containers/left-containers.ts";
import type { LeftSessions } from "../core/left-sessions.ts";
import { HealthWatch } from "../containers/health-watch.ts";
import { newContainerId, startContainer } from "../containers/start-container.ts";
import { askInTurn } from "./container-questions.ts";
import { PreparedPythons } from "./prepared-pythons.ts";
import { ServingContainer } from "./serving-container.ts";

/** Weights of 100 GB are in the machine's memory by then. A container that takes longer stops instead. */
const SLEEP_LIMIT_MS = 60 * SECOND_MS;

export interface ContainerSource extends Pick<
  ContainerOptions,
  "beginLog" | "observer" | "onDoubt" | "openTunnel" | "records" | "spares" | "user"
> {
  /** Of the function that the containers are named after. */
  readonly settings: EndpointConfig;
  /** Variables that every container is given; nothing overrides them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly usePython: UsePython;
  readonly source: string;
  /** Those that the last agent left running. */
  readonly left?: LeftContainers | undefined;
}

/** Hears how a container goes on, by its number. */
export interface ContainerListener {
  onPrepared(number: number): void;
  onReady(number: number): void;
  /** It does not become ready; `onExited` follows. */
  onFailed(number: number, failure: StartFailure): void;
  /** It has let go of its GPU. */
  onSlept(number: number): void;
  onSleepFailed(number: number): void;
  /** It does not answer at its health path any more. */
  onHung(number: number): void;
  /** It wants no more calls; it says how busy it is, from 0 to 1. */
  onDrainAsked(number: number): void;
  onUse(number: number, use: number): void;
  /** Its server has ended by itself; `onExited` follows. */
  onEnded(number: number): void;
  /** SIGKILL did not end it: it keeps what it holds until `onExited`. */
  onStuck(number: number): void;
  onExited(number: number): void;
  /** Calls that it works on. */
  callsOf(number: number): number;
}

type Launch = Pick<ContainerOptions, "cards" | "leavable" | "left">;

interface StartedContainer {
  readonly container: Container;
  readonly isAdopted: boolean;
  serving: ServingContainer | undefined;
  health: HealthWatch | undefined;
  isDrainAsked: boolean;
}

export class EndpointContainers {
  readonly #source: ContainerSource;
  readonly #listener: ContainerListener;
  /** By number, from the first event of a container to its last. */
  readonly #ids = new Map<number, string>();
  readonly #started = new Map<number, StartedContainer>();
  readonly #pythons: PreparedPythons;
  #lastFailure = "";
  #isClosed = false;

  constructor(source: ContainerSource, listener: ContainerListener) {
    this.#source = source;
    this.#listener = listener;
    this.#pythons = new PreparedPythons(source.settings, source.usePython, noticesOf(source));
  }

  /** Why a container failed last, in one line; empty where none did. */
  get lastFailure(): string {
    return this.#lastFailure;
  }

  /** A container failed, or can't be started: the operator and lists are told why. */
  noteFailure(message: string): void {
    this.#lastFailure = message;
    noticesOf(this.#source)(`postern: ${message}`);
  }

  /** A container that was ready once, by its number. */
  serving(number: number): ServingContainer | undefined {
    return this.#started.get(number)?.serving;
  }

  /** The id of a container, which it has from its claim on. */
  idOf(number: number): string {
    const known = this.#ids.get(number);
    if (known !== undefined) return known;
    const { settings: endpoint, environment } = this.#source;
    const id = newContainerId({ endpoint, environment });
    this.#ids.set(number, id);
    return id;
  }

  /** The number of a container by its id; of an upstream server that failed and came back, the newest. */
  numberOf(id: string): number | undefined {
    let found: number | undefined;
    for (const [number, known] of this.#ids) if (known === id) found = number;
    return found;
  }

  /** The pool has forgotten the container. */
  forget(number: number): void {
    this.#ids.delete(number);
    this.#pythons.forget(number);
  }

  /** As in `PreparedPythons`, for a container that is to start or to wake. */
  prepare(number: number): Promise<void> | undefined {
    return this.#started.has(number) ? undefined : this.#pythons.prepare(number);
  }

  /** When a container's process was begun, in milliseconds since 1970; undefined before that. */
  startedAtMs(number: number): number | undefined {
    return this.#started.get(number)?.container.startedAtMs;
  }

  /** Takes over a container that runs already, under its own id. The events are those of `launch`. */
  adopt(number: number, left: LeftContainer, how: Launch): void {
    this.#ids.set(number, left.id);
    this.launch(number, { ...how, left });
  }

  launch(number: number, how: Launch): void {
    const { settings: endpoint, left: _others, ...options } = this.#source;
    const notice = noticesOf(this.#source);
    const containerOptions: ContainerOptions = {
      ...options,
      ...how,
      endpoint,
      usePython: this.#pythons.take(number),
      onUnexpectedExit: (exit) => {
        this.#lastFailure = `it ended by itself with ${describeExit(exit)}`;
        notice(`postern: ended by itself with ${describeExit(exit)}`);
        this.#listener.onEnded(number);
      },
    };
    const container = startContainer(containerOptions, this.idOf(number));
    const started: StartedContainer = {
      container,
      isAdopted: how.left !== undefined,
      serving: undefined,
      health: undefined,
      isDrainAsked: false,
    };
    this.#started.set(number, started);
    this.#listener.onPrepared(number);
    void container.stuck.then(() => this.#listener.onStuck(number));
    void this.#follow(number, started, performance.now());
  }

  /** Tells what becomes of a container, in this order. */
  async #follow(number: number, started: StartedContainer, startedAtMs: number): Promise<void> {
    const { container } = started;
    try {
      const address = await container.ready;
      started.serving = new ServingContainer(container, address, {
        onDrainAsked: () => this.#onDrainAsked(number, started),
        onUse: (use) => this.#listener.onUse(number, use),
      });
      if (started.isAdopted) noticesOf(this.#source)("postern: taken over from the last agent");
      else this.#noteReady(performance.now() - startedAtMs);
      this.#listener.onReady(number);
    } catch (error) {
      this.fail(number, error);
    }
    await container.exited;
    started.health?.stop();
    // Bytes that its connections still carry may arrive.
    void started.serving?.closeWhenIdle();
    this.#started.delete(number);
    this.#listener.onExited(number);
  }

  /** Sends the `sleep` requests, and does not ask for its health meanwhile. `onSlept` follows, or `onSleepFailed`. */
  async sleep(number: number): Promise<void> {
    this.unwatchHealth(number);
    const problem = await this.#ask(number, "sleep", SLEEP_LIMIT_MS);
    if (problem === undefined) {
      noticesOf(this.#source)("postern: it sleeps");
      this.#listener.onSlept(number);
      return;
    }
    noticesOf(this.#source)(`postern: it can't sleep, and stops instead: ${problem}`);
    this.#listener.onSleepFailed(number);
  }

  /** Sends the `wake` requests. `onReady` follows, or `onFailed`. */
  async wake(number: number): Promise<void> {
    const beganAtMs = performance.now();
    const limitMs = this.#source.settings.startupTimeout * SECOND_MS;
    const problem = await this.#ask(number, "wake", limitMs);
    if (problem === undefined) {
      this.#noteReady(performance.now() - beganAtMs);
      this.serving(number)?.onWoken();
      this.#listener.onReady(number);
    } else {
      this.fail(number, new StartFailure("starting_failed", `it does not wake: ${problem}`));
    }
  }

  async #ask(number: number, key: "sleep" | "wake", limitMs: number): Promise<string | undefined> {
    const address = this.#started.get(number)?.serving?.address;
    return await askInTurn(address, { key, requests: this.#source.settings[key] }, limitMs);
  }

  /** Asks a container that takes calls for its health, from now on. */
  watchHealth(number: number): void {
    const { settings } = this.#source;
    const { healthPath, kind } = settings;
    const started = this.#started.get(number);
    // An upstream server is nobody's to end.
    if (started?.serving === undefined || healthPath === undefined || kind.type === "upstream") {
      return;
    }
    started.health = new HealthWatch({
      settings,
      healthPath,
      address: started.serving.address,
      isBusy: () => this.#listener.callsOf(number) > 0,
      onHung: (reason) => {
        this.#lastFailure = `it was hung: ${reason}`;
        noticesOf(this.#source)(`postern: it is hung and is ended: ${reason}`);
        this.#listener.onHung(number);
      },
    });
  }

  /** Asks no more: it falls asleep or ends. */
  unwatchHealth(number: number): void {
    this.#started.get(number)?.health?.stop();
  }

  #onDrainAsked(number: number, started: StartedContainer): void {
    if (this.#source.settings.kind.type === "upstream") return;
    if (!started.isDrainAsked) {
      noticesOf(this.#source)("postern: it asks to be replaced; it finishes its calls first");
    }
    started.isDrainAsked = true;
    this.#listener.onDrainAsked(number);
  }

  #noteReady(tookMs: number): void {
    if (this.#source.settings.kind.type === "upstream") return;
    noticesOf(this.#source)(`postern: ready after ${(tookMs / SECOND_MS).toFixed(1)} s`);
  }

  /** Breaks its connections, then ends it. `onExited` follows, after `onStuck` where it is stuck. */
  async stop(number: number, reason?: string): Promise<void> {
    const started = this.#started.get(number);
    await started?.serving?.close();
    await started?.container.stop(reason);
  }

  /** Leaves a container to the next agent. One that can't be left is stopped, and says why. */
  async leave(number: number, sessions?: LeftSessions): Promise<void> {
    const started = this.#started.get(number);
    started?.health?.stop();
    const problem = await started?.container.leave(sessions);
    if (problem === undefined) return await started?.serving?.connections.close();
    noticesOf(this.#source)(`postern: it does not run on for the next agent: ${problem}`);
    await this.stop(number);
  }

  /** Stops all; resolves when each is gone or stuck. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#started.keys()].map(async (number) => await this.stop(number)));
  }

  /** It does not become ready. `onFailed` is told of it. */
  fail(number: number, error: unknown): void {
    const failure =
      error instanceof StartFailure ? error : new StartFailure("starting_failed", String(error));
    const wasStopped = this.#isClosed || this.#started.get(number)?.container.state === "stopped";
    if (!wasStopped) this.noteFailure(failure.message);
    this.#listener.onFailed(number, failure);
  }
}
