/**
 * Leads a version from candidate, which its boxes make ready, to the version that serves. A candidate that fails
 * leaves the version before it as it was. `Rollouts` judges the candidates concerned (version-states.ts) when a
 * box reports, when a deadline passes, and when a box connects or leaves.
 *
 * A decision is durable before anybody hears of it. The control plane tells `Names` and the boxes afterwards
 * (control-plane.ts).
 */
import type { BoxReport, VersionContent } from "../../../routing/wire/deployments.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { App } from "./app-records.ts";
import { type Control, namesOfEndpoint } from "./control.ts";
import { placesOf } from "./places.ts";
import { judge } from "./version-states.ts";
import type { PlacedEndpoint, Version } from "./versions.ts";

/** A box whose links are lost is waited for so long: a link that is reset is back within seconds. */
const BLINK_MS = 10_000;

/** A box that loses an app goes on for so long: edges may send requests there for 5 s. */
const KEPT_ON_MS = 10_000;

/** A candidate whose boxes say nothing: they are looked after this often. */
const RECHECK_MS = 15_000;

export class Rollouts {
  readonly #control: Control;
  #recheckAt: number | undefined;

  constructor(control: Control) {
    this.#control = control;
  }

  /** Makes a staged version the candidate; inside a transaction. Older ones on their way are overtaken. */
  begin(version: Version, now: number, deadline: number): void {
    const { versions } = this.#control;
    for (const other of versions.active(version.app)) {
      if (other.version >= version.version || other.status === "serving") continue;
      versions.apply(other, "overtake");
      versions.noteFailure(other, `v${version.version} was started`, []);
      this.#notifyAll(other.endpoints);
    }
    versions.apply(version, "start", deadline);
    this.#notifyAll(version.endpoints);
    this.#recheckAt = now + RECHECK_MS;
    this.#control.changed();
  }

  /** Notes what a box has, all of it, and judges the candidates that it has a part in. */
  report(box: string, { versions: reports, code }: BoxReport): void {
    const { storage, versionBoxes, boxes } = this.#control;
    const before = versionBoxes.behindOn(box);
    storage.transactionSync(() => {
      boxes.setCode(box, code);
      versionBoxes.noteReports(box, reports);
    });
    if (versionBoxes.behindOn(box).join() !== before.join()) this.refreshPlaces(box);
    this.judgeCandidates(box);
  }

  /** Judges all candidates, or those of one box. */
  judgeCandidates(box?: string): void {
    const { versions } = this.#control;
    for (const candidate of versions.candidates()) {
      const isConcerned = candidate.endpoints.some(
        ({ boxes }) => box === undefined || boxes.includes(box),
      );
      if (isConcerned) this.#judge(candidate);
    }
  }

  /** A version comes to nothing; the one before stays as it is. */
  fail(version: Version, detail: string, lines: readonly string[]): void {
    const { storage, versions } = this.#control;
    storage.transactionSync(() => {
      versions.apply(version, "fail");
      versions.noteFailure(version, detail, lines);
    });
    this.cancelReservations(version);
    this.#notifyAll(version.endpoints);
    this.#control.changed();
  }

  /** Lets go of names that were reserved for a version alone; what cannot be told now expires by itself. */
  cancelReservations({ app, version, endpoints }: Version): void {
    const { names, versions, registry } = this.#control;
    const needed = new Set(names.namesOf(app));
    for (const other of versions.active(app)) {
      if (other.version === version) continue;
      for (const name of this.#namesOf(other.endpoints)) needed.add(name);
    }
    for (const name of this.#namesOf(endpoints)) {
      if (!needed.has(name)) registry.cancelReservation(name, app).catch(() => undefined);
    }
  }

  /** Ends an app on all its boxes; its names say so to whoever asks. */
  stop(app: App, now: number): void {
    const { storage, apps, versions, names, boxSets } = this.#control;
    const active = versions.active(app.id);
    storage.transactionSync(() => {
      for (const version of active) versions.apply(version, "stop");
      apps.stop(app.id, now);
      names.giveUpAll(app.id, "stop");
      boxSets.stop(app.id, now);
    });
    for (const version of active) {
      this.cancelReservations(version);
      this.#notifyAll(version.endpoints);
    }
    this.#control.changed();
  }

  /** Tells the edge again how a box is reached: it came back with other links, or anew, was revoked, or caught up. */
  refreshPlaces(box: string): void {
    const { versions, names, boxSets, storage } = this.#control;
    const assigned = versions.assignedTo(box).map(({ app }) => app);
    const now = Date.now();
    storage.transactionSync(() => {
      for (const app of new Set([...assigned, ...boxSets.appsOf(box)])) {
        const serving = versions.newest(app, "serving");
        const placed = new Map(
          (serving === undefined ? [] : placesOf(this.#control, serving)).flatMap(
            ([endpoint, boxes]) =>
              namesOfEndpoint(this.#control, endpoint).map((name) => [name, boxes] as const),
          ),
        );
        for (const { name, snapshot } of names.snapshotsOf(app)) {
          this.#serve(app, name, { ...snapshot, boxes: placed.get(name) ?? [] }, now);
        }
      }
    });
    this.#control.changed();
  }

  /**
   * Does the work that is due: fails candidates that are out of time, drops staged versions that are, lets boxes end
   * versions that they kept on, and checks boxes that are silent.
   */
  async lookAfter(now: number): Promise<void> {
    const { storage, versions, versionBoxes, notify } = this.#control;
    for (const version of versions.due(now)) {
      if (version.status === "candidate") this.fail(version, this.#lateness(version), []);
      else this.drop(version);
    }
    for (const box of storage.transactionSync(() => versionBoxes.endKept(now))) notify(box);
    if (this.#recheckAt === undefined || this.#recheckAt > now) return;
    await this.#recheck();
    this.#recheckAt = versions.candidates().length === 0 ? undefined : now + RECHECK_MS;
  }

  /** When `lookAfter` has something to do. */
  nextDue(now: number): number | undefined {
    const { versions, versionBoxes } = this.#control;
    // An object that was started anew has forgotten when.
    if (versions.candidates().length > 0) this.#recheckAt ??= now + RECHECK_MS;
    const times = [versions.nextDue(), versionBoxes.nextKeptEnd(), this.#recheckAt];
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  /** Forgets a version that was never started, and its app if it has no other. */
  drop(version: Version): void {
    const { storage, apps, versions } = this.#control;
    this.cancelReservations(version);
    storage.transactionSync(() => {
      versions.delete(version);
      if (versions.isEmpty(version.app)) apps.delete(version.app);
    });
  }

  #judge(candidate: Version): void {
    const { versionBoxes } = this.#control;
    const progress = versionBoxes.of(candidate).map(({ box, state, detail, lines }) => ({
      box,
      connected: this.#isConnected(box),
      awaited: this.#isConnected(box) || this.#wasConnectedLately(box),
      state,
      detail,
      lines,
    }));
    const judgement = judge(progress);
    switch (judgement.kind) {
      case "wait":
        return;
      case "failed": {
        const { box, detail, lines } = judgement;
        return this.fail(candidate, `box ${box}: ${detail}`, lines);
      }
      case "ready":
        return this.#takeOver(candidate);
    }
  }

  /** The candidate becomes the one that serves. */
  #takeOver(candidate: Version): void {
    const { storage, apps, versions, versionBoxes, names, changed } = this.#control;
    const app = apps.find(candidate.app);
    const content = versions.content(candidate.app, candidate.version);
    if (app === undefined || content === undefined)
      throw new Error("a candidate has app and content");
    const now = Date.now();
    const before = versions.newest(app.id, "serving");
    const boxes = boxesOf(candidate.endpoints);
    const snapshots = this.#snapshots(app, candidate, content);
    storage.transactionSync(() => {
      if (before !== undefined) {
        const leaving = boxesOf(before.endpoints).filter((box) => !boxes.includes(box));
        versions.apply(before, "overtake");
        versionBoxes.keepOn(before, leaving, now + KEPT_ON_MS);
      }
      versions.apply(candidate, "ready");
      versions.noteServing(candidate, now);
      for (const name of names.namesOf(app.id)) {
        if (!snapshots.has(name)) names.giveUp(app.id, name, "release");
      }
      for (const [name, snapshot] of snapshots) this.#serve(app.id, name, snapshot, now);
    });
    this.#notifyAll(candidate.endpoints);
    changed();
  }

  /** Wants a name for an app, with the boxes that served its endpoint before. */
  #serve(app: string, name: string, snapshot: Snapshot, now: number): void {
    const { names, boxSets } = this.#control;
    names.serve(app, name, boxSets.serve(app, snapshot, now));
  }

  #snapshots(app: App, version: Version, content: VersionContent): Map<string, Snapshot> {
    const { workspace } = this.#control;
    const settings = new Map(
      content.endpoints.map((endpoint) => [endpoint.function, endpoint.settings]),
    );
    return new Map(
      placesOf(this.#control, version).flatMap(([endpoint, boxes]) => {
        const { function: functionName } = endpoint;
        const snapshot: Snapshot = {
          workspace,
          environment: app.environment,
          app: app.name,
          appId: app.id,
          boxes,
          endpoint: `${app.environment}/${app.name}/${functionName}`,
          settings: settings.get(functionName) as Snapshot["settings"],
        };
        return namesOfEndpoint(this.#control, endpoint).map((name) => [name, snapshot] as const);
      }),
    );
  }

  #namesOf(endpoints: readonly PlacedEndpoint[]): string[] {
    return endpoints.flatMap((endpoint) => namesOfEndpoint(this.#control, endpoint));
  }

  /** Notifies boxes again that are not done, and forgets links that went without a word. */
  async #recheck(): Promise<void> {
    const { versions, versionBoxes, isConnected, notify } = this.#control;
    for (const candidate of versions.candidates()) {
      for (const { box, state } of versionBoxes.of(candidate)) {
        if (state === "ready" || !this.#isConnected(box)) continue;
        if (await isConnected(box)) notify(box);
      }
    }
    this.judgeCandidates();
  }

  #isConnected(box: string): boolean {
    return (this.#control.boxes.find(box)?.connectedAt ?? null) !== null;
  }

  #wasConnectedLately(box: string): boolean {
    const lastSeenAt = this.#control.boxes.find(box)?.lastSeenAt ?? null;
    return lastSeenAt !== null && Date.now() - lastSeenAt < BLINK_MS;
  }

  #lateness(version: Version): string {
    const said = this.#control.versionBoxes
      .of(version)
      .map(({ box, state }) =>
        this.#isConnected(box) ? `box ${box} is still ${state ?? "silent"}` : `box ${box} is away`,
      );
    return `it was not ready in time: ${said.join(", ")}`;
  }

  #notifyAll(endpoints: readonly PlacedEndpoint[]): void {
    for (const box of boxesOf(endpoints)) this.#control.notify(box);
  }
}

/** The boxes that any of the endpoints is on, each once. */
function boxesOf(endpoints: readonly PlacedEndpoint[]): string[] {
  return [...new Set(endpoints.flatMap(({ boxes }) => boxes))].toSorted();
}
