/**
 * Reconciles one deployed app on this box with its desired state. It gets the whole desired state each time and
 * works on one version at a time: the serving one, where the box has another; else the candidate. It does not try
 * a failed candidate again. It tries a version that serves elsewhere until that version runs here too, or a candidate
 * comes: where the serving version cannot run, the next one is the way out.
 */
import type { Observer } from "../../base/observer.ts";
import { messageOf } from "../../base/thrown.ts";
import {
  type AssignedApp,
  type AssignedVersion,
  MAX_REPORTED_LINE_CHARACTERS,
  MAX_REPORTED_LINES,
  type VersionReport,
  type VersionState,
} from "../../routing/wire/deployments.ts";
import { StartFailure } from "../containers/container.ts";
import type { RoomNews } from "../core/claims.ts";
import { ROOM_AWAITED } from "../endpoints/claim-words.ts";
import type { VersionDescription } from "./app-version.ts";
import type { Later } from "./coalesced-task.ts";
import type { AppRuntime } from "./app-runtime.ts";

const FIRST_RETRY_MS = 10_000;
const MAX_RETRY_MS = 300_000;

/** The reason for a version's state where no detail gives one, for the log. */
const REASONS: Readonly<Record<VersionState, string>> = {
  fetching: "it is assigned to this box",
  preparing: "its code is here",
  starting: "its code and Python environments are here",
  ready: "its containers are ready",
  serving: "it is the version that serves",
  failed: "it did not start",
};

/** How two versions share the GPUs and ports of their box. */
const ROOM_WORDS: Readonly<Record<RoomNews, string>> = {
  made: "the version that serves finishes its calls and makes room",
  awaited: ROOM_AWAITED,
};
const OVERLAPS = "both versions have room on the box beside each other";

/** A version whose code and Python environments are there. */
export interface LoadedVersion {
  readonly description: VersionDescription;
  /** Lets go of the resources that the start of the version needed. */
  release(): void;
}

/** The part of `AppRuntime` that starts versions and switches between them. */
export type VersionedApp = Pick<
  AppRuntime,
  "begin" | "prepare" | "switchTo" | "abandon" | "rescale"
>;

export interface AppReconcilerOptions {
  readonly served: VersionedApp;
  /** Gets ready what a version needs; says what it is about. Rejects with one line, or a `StartFailure`. */
  readonly load: (
    assignment: AssignedApp,
    version: AssignedVersion,
    onState: (state: VersionState) => void,
  ) => Promise<LoadedVersion>;
  /** The reports are others now, or the versions in use. */
  readonly onChange: () => void;
  readonly later: Later;
  readonly observer: Observer;
}

export class AppReconciler {
  readonly id: string;
  /** Resolves when the version that was the serving one at first has been started, or can't be. */
  readonly begun: Promise<void>;
  readonly #begun = Promise.withResolvers<void>();
  readonly #options: AppReconcilerOptions;
  readonly #reports = new Map<number, VersionReport>();
  /** Whose files are in use, those that finish their last calls included. */
  readonly #inUse = new Set<number>();
  #desired: AssignedApp;
  /** The version that takes calls here. */
  #serving: number | undefined;
  /** The version that is being started, or is ready. */
  #working: number | undefined;
  /** Tells the work on a version that it is not wanted any more. */
  #works = 0;
  #failures = 0;
  #forgetRetry: (() => void) | undefined;
  #stopped = false;

  constructor(desired: AssignedApp, options: AppReconcilerOptions) {
    this.id = desired.id;
    this.#desired = desired;
    this.#options = options;
    this.begun = this.#begun.promise;
    if (desired.serving === undefined) this.#begun.resolve();
  }

  /** How far its versions are. */
  get reports(): VersionReport[] {
    return [...this.#reports.values()];
  }

  /** Versions whose files must stay. */
  get inUse(): number[] {
    return [...this.#inUse];
  }

  /** Replaces the desired state, and works towards the new one. */
  want(desired: AssignedApp): void {
    this.#desired = desired;
    const wanted = new Set([desired.serving?.version, desired.candidate?.version, this.#serving]);
    for (const version of this.#reports.keys()) {
      if (!wanted.has(version)) this.#reports.delete(version);
    }
    this.#rescale();
    this.#step();
  }

  /**
   * Ends the work on the app: this box is not to run it any more. The owner of its `AppRuntime` ends the containers;
   * the files are in use until then.
   */
  stop(): void {
    this.#stopped = true;
    this.#works += 1;
    this.#forgetRetry?.();
    this.#reports.clear();
  }

  #step(): void {
    if (this.#stopped) return;
    const goal = this.#goal();
    if (goal?.version === this.#working) {
      if (goal !== undefined) this.#switchIfServing(goal);
      return;
    }
    this.#works += 1;
    this.#forgetRetry?.();
    this.#failures = 0;
    // A version that was begun, and not prepared, would leave an older candidate's containers as they are.
    if (goal === undefined || this.#working !== undefined) void this.#options.served.abandon();
    this.#leave(this.#working);
    this.#working = goal?.version;
    if (goal !== undefined) void this.#work(goal, this.#works);
  }

  /** The version to work on now. */
  #goal(): AssignedVersion | undefined {
    const { serving, candidate } = this.#desired;
    const isHere = serving === undefined || this.#isServing(serving.version);
    const isWaiting = serving !== undefined && this.#hasFailed(serving.version);
    if (!isHere && !isWaiting) return serving;
    const isDone =
      candidate === undefined ||
      this.#isServing(candidate.version) ||
      this.#hasFailed(candidate.version);
    if (!isDone) return candidate;
    return isHere ? undefined : serving;
  }

  /** The serving version's numbers of containers may have changed since it was loaded. */
  #rescale(): void {
    const { serving } = this.#desired;
    if (serving === undefined || serving.version !== this.#serving) return;
    this.#options.served.rescale(serving.scaling ?? {});
  }

  #hasFailed(version: number): boolean {
    return this.#reports.get(version)?.state === "failed";
  }

  #isServing(version: number): boolean {
    return this.#serving === version && this.#reports.get(version)?.state === "serving";
  }

  async #work(goal: AssignedVersion, work: number): Promise<void> {
    const { version } = goal;
    const { served, load } = this.#options;
    let loaded: LoadedVersion | undefined;
    this.#inUse.add(version);
    try {
      this.#report(version, "fetching");
      loaded = await load(this.#desired, goal, (state) => {
        if (work === this.#works) this.#report(version, state);
      });
      if (work !== this.#works) return;
      this.#report(version, "starting");
      const isFirst = this.#serving === undefined && this.#desired.serving?.version === version;
      if (isFirst) this.#serving = version;
      const ready = isFirst
        ? served.begin(loaded.description, { isProved: true })
        : this.#prepare(version, loaded.description, work);
      this.#rescale();
      this.#begun.resolve();
      const detail = await ready;
      if (work !== this.#works) return;
      this.#report(version, isFirst ? "serving" : "ready", detail ?? "");
      if (isFirst) this.#done();
      else this.#switchIfServing(goal);
    } catch (error) {
      if (work === this.#works) this.#failed(version, error);
    } finally {
      loaded?.release();
    }
  }

  /**
   * Resolves with what there is to say about it. Says at once that the serving version makes room, or that it makes none,
   * and why the new one may not become ready.
   */
  async #prepare(version: number, description: VersionDescription, work: number): Promise<string> {
    let makesRoom = false;
    const { hasClaims } = await this.#options.served.prepare(description, (news) => {
      makesRoom ||= news === "made";
      // The endpoints of a first version make room for each other.
      const isTold = typeof news === "object" || this.#serving !== undefined;
      if (!isTold || work !== this.#works || this.#reports.get(version)?.state !== "starting")
        return;
      this.#report(version, "starting", typeof news === "object" ? news.doubt : ROOM_WORDS[news]);
    });
    return hasClaims && !makesRoom && this.#serving !== undefined ? OVERLAPS : "";
  }

  /** The prepared version takes the calls, once it is the one that serves. */
  #switchIfServing({ version }: AssignedVersion): void {
    const report = this.#reports.get(version);
    if (report?.state !== "ready" || this.#desired.serving?.version !== version) return;
    const old = this.#serving;
    this.#serving = version;
    // With what there was to say: who watches a deployment may see this state first.
    this.#report(version, "serving", report.detail);
    const switched = this.#options.served.switchTo();
    this.#rescale();
    if (old !== undefined && old !== version) {
      this.#reports.delete(old);
      void switched.then(() => this.#leave(old));
    }
    this.#done();
  }

  #done(): void {
    this.#working = undefined;
    this.#failures = 0;
    this.#step();
  }

  #failed(version: number, error: unknown): void {
    const detail = messageOf(error);
    const lines = error instanceof StartFailure ? error.lastLines : [];
    this.#report(version, "failed", detail, lines);
    this.#options.observer.notice(`postern: ${this.#desired.app} v${version}: ${detail}`);
    this.#working = undefined;
    this.#leave(version);
    if (this.#desired.serving?.version !== version) {
      this.#step();
      return;
    }
    // It serves elsewhere: what is wrong is this box, and may pass.
    const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    const failures = this.#failures + 1;
    this.#working = version;
    this.#forgetRetry = this.#options.later(() => {
      this.#working = undefined;
      this.#step();
      this.#failures = failures;
    }, delayMs);
    // A candidate need not wait for that.
    this.#step();
  }

  #leave(version: number | undefined): void {
    if (version === undefined || version === this.#serving) return;
    this.#begun.resolve();
    this.#inUse.delete(version);
    this.#options.onChange();
  }

  #report(version: number, state: VersionState, detail = "", lines: readonly string[] = []): void {
    this.#options.observer.emit("version.state", {
      from: this.#reports.get(version)?.state ?? "absent",
      to: state,
      reason: detail === "" ? REASONS[state] : detail,
      app: this.#desired.app,
      version,
    });
    this.#reports.set(version, {
      app: this.id,
      version,
      state,
      detail: detail.slice(0, MAX_REPORTED_LINE_CHARACTERS),
      lines: lines
        .slice(-MAX_REPORTED_LINES)
        .map((line) => line.slice(0, MAX_REPORTED_LINE_CHARACTERS)),
    });
    this.#options.onChange();
  }
}
