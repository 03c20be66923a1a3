/**
 * The apps that are deployed to this box. The agent asks the gateway for the whole desired state, after each welcome
 * and each time the gateway says that there is something new. It reports the whole state of the box in return. So
 * the next exchange repairs anything that either side missed. The disk has the code and its history and nothing else
 * of this: an agent that starts asks first, and secrets are never written to the disk.
 */
import type { Observer } from "../../base/observer.ts";
import { messageOf } from "../../base/thrown.ts";
import type { Assignments, BoxReport } from "../../routing/wire/deployments.ts";
import type { CodeStore } from "../code/code-store.ts";
import type { LeftContainers } from "../containers/left-containers.ts";
import { keyOf, type AppName, type AppRuntimes } from "./app-runtimes.ts";
import { AppReconciler, type AppReconcilerOptions, type VersionedApp } from "./app-reconciler.ts";
import type { CodeHistory } from "./code-history.ts";
import type { AssignmentSource } from "./assignment-source.ts";
import { type Later, CoalescedTask } from "./coalesced-task.ts";
import { ownerOf } from "./version-loader.ts";

export interface AppReconcilersOptions {
  readonly apps: { take(name: AppName): VersionedApp } & Pick<AppRuntimes, "remove">;
  readonly controlPlane: Pick<AssignmentSource, "assignments" | "report">;
  readonly load: AppReconcilerOptions["load"];
  readonly code: Pick<CodeStore, "list" | "retain">;
  readonly history: Pick<CodeHistory, "hashes" | "note">;
  /** An app that the box brings along: no other of its name is served beside it. */
  readonly isAnnounced: (name: AppName) => boolean;
  /** Containers that the last agent left running. */
  readonly left?: Pick<LeftContainers, "retain"> | undefined;
  readonly later: Later;
  readonly observer: Observer;
}

interface Assigned {
  readonly name: AppName;
  readonly app: AppReconciler;
}

export class AppReconcilers {
  readonly #options: AppReconcilersOptions;
  /** By app id. */
  readonly #assigned = new Map<string, Assigned>();
  /** AppRuntimes that are not assigned any more and finish their last calls. */
  readonly #leaving = new Set<AppReconciler>();
  readonly #asking: CoalescedTask;
  readonly #reporting: CoalescedTask;
  #hashes: ReadonlyMap<string, readonly string[]> | undefined;
  /** Why the gateway could not be asked or told: not said again while it stays so. */
  #said = "";
  readonly #namesakes = new Set<string>();

  constructor(options: AppReconcilersOptions) {
    this.#options = options;
    const { later } = options;
    const say = (what: string) => (error: unknown) => this.#tell(`${what}: ${messageOf(error)}`);
    this.#asking = new CoalescedTask(
      () => this.#ask(),
      say("no assignments from the gateway"),
      later,
    );
    this.#reporting = new CoalescedTask(
      () => this.#report(),
      say("the gateway takes no report"),
      later,
    );
  }

  /** Asks the gateway again, which may have something new. */
  refresh(): void {
    this.#asking.ask();
  }

  /**
   * Resolves when the gateway has been asked, or did not answer, and every app that is to serve here has
   * been started or failed.
   */
  async begun(): Promise<void> {
    await this.#asking.idle();
    await Promise.all([...this.#assigned.values()].map(async ({ app }) => await app.begun));
  }

  /** The report may be out of date: a link is back, or code has come. */
  report(): void {
    this.#reporting.ask();
  }

  close(): void {
    this.#asking.close();
    this.#reporting.close();
    for (const { app } of this.#assigned.values()) app.stop();
  }

  async #ask(): Promise<void> {
    const { controlPlane, history } = this.#options;
    const assignments = await controlPlane.assignments();
    this.#said = "";
    this.#hashes = hashesOf(assignments);
    // Before anything is dropped: what is noted is kept.
    await history.note(this.#hashes);
    this.#apply(assignments);
    this.report();
  }

  #apply({ apps }: Assignments): void {
    const { isAnnounced } = this.#options;
    const served = apps.filter((desired) => !isAnnounced(desired));
    this.#options.left?.retain((endpoint, version) =>
      served.some(({ serving, candidate, ...name }) => {
        const isOf = endpoint.startsWith(`${keyOf(name)}/`);
        return isOf && [serving?.version, candidate?.version].includes(version);
      }),
    );
    const ids = new Set(served.map(({ id }) => id));
    for (const [id, assigned] of this.#assigned) if (!ids.has(id)) this.#drop(id, assigned);
    for (const desired of served) {
      const present = this.#assigned.get(desired.id);
      if (present !== undefined) {
        present.app.want(desired);
        continue;
      }
      const { environment, app: name } = desired;
      const app = new AppReconciler(desired, {
        served: this.#options.apps.take(desired),
        load: this.#options.load,
        later: this.#options.later,
        onChange: () => this.report(),
        observer: this.#options.observer,
      });
      this.#assigned.set(desired.id, { name: { environment, app: name }, app });
      app.want(desired);
    }
    for (const desired of apps.filter(isAnnounced)) this.#tellOfNamesake(keyOf(desired));
  }

  #drop(id: string, { name, app }: Assigned): void {
    this.#assigned.delete(id);
    app.stop();
    this.#leaving.add(app);
    void this.#options.apps.remove(name).then(() => {
      this.#leaving.delete(app);
      this.report();
    });
  }

  async #report(): Promise<void> {
    const { controlPlane, code } = this.#options;
    await this.#retain();
    const versions = [...this.#assigned.values()].flatMap(({ app }) => app.reports);
    await controlPlane.report({ versions, code: code.list() } satisfies BoxReport);
  }

  /** Removes code that is not needed. Does nothing before the first assignments, which say what is needed. */
  async #retain(): Promise<void> {
    const { code, history } = this.#options;
    // The first app of an assignment reports before the next one is known, and that one's files are in use too.
    await Promise.resolve();
    if (this.#hashes === undefined) return;
    const apps = [...[...this.#assigned.values()].map(({ app }) => app), ...this.#leaving];
    const owners = apps.flatMap((app) => app.inUse.map((version) => ownerOf(app.id, version)));
    await code.retain({
      hashes: [...history.hashes, ...[...this.#hashes.values()].flat()],
      owners,
    });
  }

  #tellOfNamesake(key: string): void {
    if (this.#namesakes.has(key)) return;
    this.#namesakes.add(key);
    const { observer } = this.#options;
    observer.notice(
      `postern: ${key} is deployed to this box, which serves an app of that name by itself`,
    );
  }

  #tell(line: string): void {
    if (line === this.#said) return;
    this.#said = line;
    this.#options.observer.notice(`postern: ${line}`);
  }
}

/** By app id, the hashes of its code: the serving version's first, then the candidate's. */
function hashesOf({ apps }: Assignments): Map<string, readonly string[]> {
  return new Map(
    apps.map(({ id, serving, candidate }) => {
      const hashes = [serving, candidate].flatMap((version) => version?.content.code?.hash ?? []);
      return [id, hashes];
    }),
  );
}
