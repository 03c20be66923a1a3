/**
 * A container that the agent runs as a process. The agent tells the command a loopback port, waits until it serves,
 * and stops it with all processes that it started. It warns when the server listens beyond the loopback interface.
 */
import { rejectedBy } from "../../base/runtime/rejected-by.ts";
import { SECOND_MS } from "../../base/units.ts";
import {
  type Container,
  type ContainerAddress,
  type ContainerOptions,
  type ProcessState,
  type ExitInfo,
  StartFailure,
  type UsedPython,
  describeExit,
  noticesOf,
} from "./container.ts";
import type { ContainerLog } from "../logs/container-logs.ts";
import type { LogStream } from "../../routing/wire/container-logs.ts";
import { type ProcessKind, startWords, withPort } from "./container-command.ts";
import { containerEnvironment, pathWithNode } from "./environment.ts";
import { GivenUpCalls } from "./given-up-calls.ts";
import { groupMembers, listeners } from "./linux-processes.ts";
import { LastLines } from "./output-lines.ts";
import { choosePort, freeOrigins } from "./container-port.ts";
import { listensElsewhere, SUSPECTED_AFTER_MS } from "./other-port.ts";
import { isAnothersPort } from "./port-owner.ts";
import { NOT_EXECUTABLE, NOT_FOUND } from "./launched-command.ts";
import { ProcessGroup } from "./process-group.ts";
import { lateMessage, untilReady } from "./readiness.ts";
import { StopCommand } from "./stop-command.ts";
import { sayUnsupervised } from "./supervisor.ts";
import { warmUp } from "./warm-up.ts";

/** The variable with a container's id, by which its processes are found wherever they have gone. */
const MARK = "POSTERN_CONTAINER_ID";
export class ProcessContainer implements Container {
  readonly id: string;
  readonly ready: Promise<ContainerAddress>;
  readonly exited: Promise<ExitInfo>;
  readonly stuck: Promise<void>;
  readonly #kind: ProcessKind;
  readonly #options: ContainerOptions;
  readonly #lastLines = new LastLines();
  readonly #log: ContainerLog | undefined;
  readonly #ended = Promise.withResolvers<ExitInfo>();
  readonly #stuck = Promise.withResolvers<void>();
  /** Aborted with the failure when the container can't become ready any more. */
  readonly #starting = new AbortController();
  #state: ProcessState = "starting";
  /** How far its start has come, for a failure. */
  #step = "before it was ready";
  #group: ProcessGroup | undefined;
  #stopCommand: StopCommand | undefined;
  #givenUp: GivenUpCalls | undefined;

  constructor(id: string, kind: ProcessKind, options: ContainerOptions) {
    this.id = id;
    this.#kind = kind;
    this.#options = options;
    this.exited = this.#ended.promise;
    this.#log = options.beginLog?.(id);
    void this.exited.then(() => this.#log?.end());
    this.stuck = this.#stuck.promise;
    this.ready = this.#start();
    // Callers that wait for `ready` get the failure. Without one, Node would report an unhandled rejection.
    this.ready.catch(() => undefined);
  }

  get state(): ProcessState {
    return this.#state;
  }

  async gaveUp(call: string): Promise<void> {
    await Promise.race([this.#givenUp?.ended(call), this.exited]);
  }

  async stop(reason = "it is not needed any more"): Promise<void> {
    if (this.#state === "starting" || this.#state === "ready") {
      this.#become("stopping", reason);
      this.#starting.abort(this.#failure("starting_failed", "stopped before it was ready"));
      await this.#stopGroup();
    }
    await Promise.race([this.exited, this.stuck]);
  }

  async #start(): Promise<ContainerAddress> {
    const { healthPath, startupTimeout } = this.#options.endpoint;
    const { signal } = this.#starting;
    let notYet: string | undefined;
    let elsewhere = (): string | undefined => undefined;
    const timers: ReturnType<typeof setTimeout>[] = [];
    const after = (ms: number, act: () => void) => timers.push(setTimeout(act, ms));
    try {
      const python = await this.#usePython();
      after(startupTimeout * SECOND_MS, () => {
        const message = lateMessage(startupTimeout, elsewhere() ?? notYet);
        this.#starting.abort(this.#failure("startup_timeout", message));
      });
      const port = await this.#choosePort();
      signal.throwIfAborted();
      const candidates = await freeOrigins(port, signal);
      signal.throwIfAborted();
      const leader = await this.#launch(port, python).started;
      signal.throwIfAborted();
      elsewhere = () => listensElsewhere(leader, port);
      after(SUSPECTED_AFTER_MS, () => {
        const hint = elsewhere();
        if (hint !== undefined) this.#notice(`postern: warning: ${hint}`);
      });
      const origin = await untilReady(candidates, healthPath, signal, {
        notYet: (why) => (notYet = why),
        isAnothers: (candidate) => this.#isAnothers(candidate, leader),
      });
      const problem = await warmUp(
        { origin },
        {
          requests: this.#options.endpoint.warmup,
          signal,
          onRequest: (name) => {
            this.#step = `at ${name} before it was ready`;
            notYet = `${name} was not answered`;
          },
        },
      );
      if (problem !== undefined) throw this.#failure("starting_failed", problem);
      this.#become("ready", "it answered");
      // Reads much of /proc: the requests that waited are sent in the turn before.
      setImmediate(() => setImmediate(() => this.#warnOfOpenPorts(leader)));
      return { origin };
    } catch (error) {
      if (this.#state === "starting")
        this.#become("failed", error instanceof Error ? error.message : String(error));
      if (this.#group === undefined) this.#over({ code: null, signal: null });
      else void this.#stopGroup();
      throw error instanceof StartFailure ? error : this.#failure("starting_failed", String(error));
    } finally {
      for (const timer of timers) clearTimeout(timer);
    }
  }

  /** Its time does not count as the app's: packages may have to be installed. */
  async #usePython(): Promise<string> {
    const { endpoint, usePython } = this.#options;
    if (this.#kind.type !== "asgi") return endpoint.python;
    const used = usePython(endpoint, (text) => this.#notice(text));
    // Not awaited: the stop of the container need not wait for an environment that is still being made.
    void this.#releaseAtTheEnd(used);
    const { python } = await Promise.race([used, rejectedBy(this.#starting.signal)]);
    return python;
  }

  async #releaseAtTheEnd(using: Promise<UsedPython>): Promise<void> {
    const used = await using.catch(() => undefined);
    await this.exited;
    used?.release();
  }

  async #choosePort(): Promise<number> {
    const fixed = this.#kind.type === "web_server" ? this.#kind.port : undefined;
    const port = await choosePort(fixed, this.exited);
    // Its app could not listen there.
    if (port === undefined) {
      throw this.#failure("starting_failed", `port ${fixed} is taken by another program`);
    }
    return port;
  }

  /** Some program may have taken the port since the start. */
  #isAnothers(origin: string, leader: number | undefined): boolean {
    if (leader === undefined) return false;
    const { hostname, port } = new URL(origin);
    const uid = this.#options.user?.uid ?? process.geteuid?.() ?? 0;
    return isAnothersPort(
      { host: hostname, port: Number(port) },
      { leader, variable: MARK, id: this.id, uid },
    );
  }

  #launch(port: number, python: string): ProcessGroup {
    const { endpoint, environment: given, observer, source, user } = this.#options;
    const environment = containerEnvironment({
      inherited: process.env,
      user,
      configured: endpoint.env,
      given: { ...given, PORT: String(port), [MARK]: this.id },
    });
    const path = pathWithNode(environment["PATH"] ?? "", process.execPath);
    const run = {
      directory: endpoint.directory,
      environment: { ...environment, PATH: path },
      user,
      onLine: (line: string, stream: LogStream) => {
        this.#lastLines.push(line);
        this.#log?.write(stream, line);
        observer.emit("container.output", { source, line });
      },
    };
    const stopCommand = {
      command: withPort(endpoint.stopCommand, port),
      limit: endpoint.exitGracePeriod,
    };
    const group = new ProcessGroup({
      ...run,
      command: startWords(this.#kind, endpoint, { port, python }),
      markedBy: MARK,
      withChannel: this.#kind.type === "asgi",
      stopCommand,
    });
    this.#stopCommand = new StopCommand({ ...run, ...stopCommand, container: this.id });
    this.#group = group;
    if (!group.isSupervised) sayUnsupervised(observer);
    void this.#note(group);
    void group.channel().then((channel) => {
      if (channel !== undefined) this.#givenUp = new GivenUpCalls(channel);
    });
    void group.leaderExited.then(() => this.#onLeaderExit(group));
    void group.stuck.then(() => this.#onStuck());
    return group;
  }

  async #note({ started, supervisor }: ProcessGroup): Promise<void> {
    const { records, source, endpoint } = this.#options;
    const leader = await started;
    if (leader === undefined) return;
    const limit = endpoint.stopCommand.length === 0 ? 0 : endpoint.exitGracePeriod;
    const processes = { container: this.id, source, variable: MARK, leader, supervisor, limit };
    await records?.add(processes, this.exited);
  }

  async #onLeaderExit(group: ProcessGroup): Promise<void> {
    // At once, so that no request is sent to it while the rest of it is ended.
    if (this.#state === "ready") {
      this.#become("failed", "its process ended");
      this.#options.onUnexpectedExit?.(await group.leaderExited);
    }
    const exit = await group.exited;
    await this.#stopCommand?.run();
    const message = `ended with ${describeExit(exit)} ${this.#step}`;
    const permanent = exit.code === NOT_EXECUTABLE || exit.code === NOT_FOUND;
    this.#starting.abort(this.#failure("starting_failed", message, { permanent }));
    this.#over(exit);
  }

  #onStuck(): void {
    this.#notice(
      "postern: warning: it survived SIGKILL; what it holds, such as a GPU, is not given to others until it is gone",
    );
    this.#stuck.resolve();
  }

  async #stopGroup(): Promise<void> {
    const { stopSignal, exitGracePeriod } = this.#options.endpoint;
    await this.#stopCommand?.run();
    await this.#group?.stop(stopSignal, exitGracePeriod * SECOND_MS);
  }

  #become(to: ProcessState, reason: string): void {
    this.#state = to;
    this.#log?.write("postern", `postern: ${to}: ${reason}`);
  }

  #over(exit: ExitInfo): void {
    if (this.#state === "stopping") this.#become("stopped", describeExit(exit));
    this.#ended.resolve(exit);
  }

  #warnOfOpenPorts(leader: number | undefined): void {
    if (leader === undefined) return;
    const open = listeners(groupMembers(leader)).filter(({ loopback }) => !loopback);
    if (open.length === 0) return;
    const ports = open.map(({ address, port }) => `${address}:${port}`).join(", ");
    this.#notice(
      `postern: warning: it listens on ${ports}, open to the network past every lock; let it listen on 127.0.0.1`,
    );
  }

  /** Tells the operator, and those who read the container's log. */
  #notice(text: string): void {
    noticesOf(this.#options)(text);
    this.#log?.write("postern", text);
  }

  #failure(
    code: StartFailure["code"],
    message: string,
    how?: { readonly permanent: boolean },
  ): StartFailure {
    return new StartFailure(code, message, this.#lastLines.lines, how);
  }
}
