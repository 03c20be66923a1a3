/**
 * A container that the agent runs as a process. The agent tells the command a loopback port, waits until it serves,
 * and stops it with all processes that it started. It warns when the server listens beyond the loopback interface.
 */
import { systemTimer } from "../../base/runtime/timer.ts";
import { SECOND_MS } from "../../base/units.ts";
import { messageOf } from "../../base/thrown.ts";
import {
  type Container,
  type ContainerAddress,
  type ContainerOptions,
  type ProcessState,
  StartFailure,
  noticesOf,
} from "./container.ts";
import { type ExitInfo, describeExit } from "./exit-info.ts";
import type { ContainerLog } from "../logs/container-logs.ts";
import type { LeftSessions } from "../core/left-sessions.ts";
import type { LogStream } from "../../routing/wire/container-logs.ts";
import { type ProcessKind, startWords } from "./container-command.ts";
import { fixedPortOf, hasCallsPort } from "../config/python-kinds.ts";
import { type ContainerRun, containerRun, MARK } from "./container-run.ts";
import { tunnelLines } from "./container-tunnels.ts";
import { variablesOf } from "./environment.ts";
import { GivenUpCalls } from "./given-up-calls.ts";
import { LastLines } from "./output-lines.ts";
import { callsOriginOf, choosePorts, type ContainerPort, keepPorts } from "./container-port.ts";
import { listensElsewhere, lookForOtherPort, warnOfOpenPorts } from "./other-port.ts";
import { ownerProblem } from "./port-owner.ts";
import { leaveRunning } from "./leave-running.ts";
import type { LeftContainer } from "./left-container.ts";
import type { LeftRecord } from "./left-record.ts";
import { NOT_EXECUTABLE, NOT_FOUND } from "./launched-command.ts";
import { ProcessGroup, type ProcessGroupOptions } from "./process-group.ts";
import { pythonOf } from "./container-python.ts";
import { lateMessage, untilServing } from "./readiness.ts";
import { StopCommand } from "./stop-command.ts";
import { sayUnsupervised } from "./supervisor.ts";
import { warmUp } from "./warm-up.ts";

export class ProcessContainer implements Container {
  readonly id: string;
  readonly startedAtMs: number;
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
  /** Where it is ready. */
  #served: Pick<LeftRecord, "port" | "origin" | "callsPort"> | undefined;

  constructor(id: string, kind: ProcessKind, options: ContainerOptions) {
    this.id = id;
    this.startedAtMs = options.left?.record.startedAtMs ?? Date.now();
    this.#kind = kind;
    this.#options = options;
    this.exited = this.#ended.promise;
    this.#log = options.beginLog?.(id);
    this.stuck = this.#stuck.promise;
    this.ready = this.#start();
    // Callers that wait for `ready` get the failure. Without one, Node would report an unhandled rejection.
    this.ready.catch(() => undefined);
    // A start that fails says so after the exit.
    void Promise.allSettled([this.exited, this.ready]).then(() => this.#log?.end());
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

  async leave(sessions?: LeftSessions): Promise<string | undefined> {
    const { endpoint, environment, leavable, records, user } = this.#options;
    const group = this.#group;
    if (leavable === undefined || records === undefined) return "its app is none that was deployed";
    if (this.#state !== "ready" || !group || !this.#served) return "it is not ready";
    const { directory, stopSignal, exitGracePeriod } = endpoint;
    return await leaveRunning(group, {
      ...leavable,
      ...this.#served,
      directory,
      stopSignal,
      exitGracePeriod,
      container: this.id,
      user: user?.name ?? "",
      variables: variablesOf(endpoint, environment, user),
      startedAtMs: this.startedAtMs,
      sessions,
      records,
    });
  }

  async #start(): Promise<ContainerAddress> {
    const { healthPath, startupTimeout } = this.#options.endpoint;
    const { signal } = this.#starting;
    let notYet: string | undefined;
    let taken: string | undefined;
    let elsewhere = (): string | undefined => undefined;
    const cancels: (() => void)[] = [];
    // Another program at its port says more than a port of its own that is open too.
    const hint = () => (taken !== undefined && taken === notYet ? taken : elsewhere());
    const { left } = this.#options;
    try {
      // At once: its supervisor waits for some time only.
      const adopted = left && this.#adopt(left);
      const python = await pythonOf(this.#kind, this.#options, {
        exited: this.exited,
        signal,
        log: (text) => this.#notice(text),
      });
      const onLate = (): void => {
        const message = lateMessage(startupTimeout, hint() ?? notYet);
        this.#starting.abort(this.#failure("startup_timeout", message));
      };
      cancels.push(systemTimer(onLate, startupTimeout * SECOND_MS));
      const ports: ContainerPort = left
        ? { ...left.record, origins: [left.record.origin] }
        : await this.#choosePorts();
      const { port, callsPort } = ports;
      signal.throwIfAborted();
      const group = adopted ?? this.#launch(ports, python);
      const leader = await group.started;
      signal.throwIfAborted();
      const { supervisor } = group;
      const own = { id: this.id, leader, supervisor };
      elsewhere = () => listensElsewhere(own, port);
      const warn = (text: string): void => {
        this.#notice(`postern: warning: ${text}`);
        this.#options.onDoubt?.(text);
      };
      cancels.push(lookForOtherPort(hint, warn));
      const origin = await untilServing(ports, healthPath, signal, {
        notYet: (why) => (notYet = why),
        // Some program may have taken the port since the start.
        ownerProblem: (candidate) => {
          taken = ownerProblem(candidate, { ...this.#options, ...own });
          return taken;
        },
      });
      const problem = await warmUp(
        { origin },
        {
          requests: left ? [] : this.#options.endpoint.warmup,
          signal,
          onRequest: (name) => {
            this.#step = `at ${name} before it was ready`;
            notYet = `${name} was not answered`;
          },
        },
      );
      if (problem !== undefined) throw this.#failure("starting_failed", problem);
      this.#become("ready", "it answered");
      this.#served = { port, origin, ...(callsPort !== undefined && { callsPort }) };
      warnOfOpenPorts(own, this.exited, (text) => this.#notice(text));
      return { origin, ...callsOriginOf(callsPort) };
    } catch (error) {
      if (this.#state === "starting") this.#become("failed", messageOf(error));
      if (this.#group === undefined) this.#over({ code: null, signal: null });
      else void this.#stopGroup();
      throw error instanceof StartFailure ? error : this.#failure("starting_failed", String(error));
    } finally {
      for (const cancel of cancels) cancel();
    }
  }

  async #choosePorts(): Promise<ContainerPort> {
    const fixed = fixedPortOf(this.#kind);
    const chosen = await choosePorts(fixed, hasCallsPort(this.#options.endpoint), this.exited);
    // Its app could not listen there.
    if (chosen === undefined) {
      throw this.#failure("starting_failed", `port ${fixed} is taken by another program`);
    }
    return chosen;
  }

  #launch({ port, callsPort }: ContainerPort, python: string): ProcessGroup {
    const { endpoint, environment: variables } = this.#options;
    const command = startWords(this.#kind, endpoint, { port, callsPort, python, variables });
    return this.#supervise(port, (run) => new ProcessGroup({ ...run, command }));
  }

  #adopt(left: LeftContainer): ProcessGroup {
    const { port, callsPort } = left.record;
    keepPorts([port, callsPort], this.exited);
    return this.#supervise(port, (run) => {
      return new ProcessGroup({ ...run, command: [], adopted: left.adopt(run) });
    });
  }

  #supervise(
    port: number,
    begin: (run: ContainerRun & Pick<ProcessGroupOptions, "onLine">) => ProcessGroup,
  ): ProcessGroup {
    const { observer, source } = this.#options;
    const run = containerRun(this.#kind, this.#options, { id: this.id, port });
    const onLine = (line: string, stream: LogStream): void => {
      this.#lastLines.push(line);
      this.#log?.write(stream, line);
      observer.emit("container.output", { source, line });
    };
    const group = begin({ ...run, onLine });
    this.#stopCommand = new StopCommand({ ...run, onLine, container: this.id });
    this.#group = group;
    if (!group.isSupervised) sayUnsupervised(observer);
    void this.#note(group);
    void group.channel().then((channel) => {
      if (channel === undefined) return;
      const tunnels = tunnelLines(channel.writes, this.#options.openTunnel, this.exited);
      this.#givenUp = new GivenUpCalls(channel, tunnels);
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
