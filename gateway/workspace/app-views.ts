/** Apps and versions as people see them: with URLs, and with what their boxes say. */
import type { AppKind } from "../../routing/claims.ts";
import type { VersionState } from "../../routing/wire/deployments.ts";
import type { App } from "./apps.ts";
import { type Control, urlOf } from "./control.ts";
import type { Page } from "./pages.ts";
import type { VersionStatus } from "./version-states.ts";
import type { VersionBox } from "./version-boxes.ts";
import type { Author, Version } from "./versions.ts";

/**
 * `starting`: its first version does not serve yet. `failed`: none ever did. `in_place` and `ephemeral`:
 * a box serves it without a deployment.
 */
export const APP_STATES = [
  "deployed",
  "starting",
  "failed",
  "stopped",
  "in_place",
  "ephemeral",
] as const;

export type AppState = (typeof APP_STATES)[number];

/** Times are milliseconds of the epoch. */
export interface AppView {
  readonly id: string;
  readonly name: string;
  readonly environment: string;
  readonly kind: AppKind;
  readonly state: AppState;
  /** The one that serves. */
  readonly version: number | null;
  /** The one that is to. */
  readonly candidate: number | null;
  readonly endpoints: readonly EndpointView[];
  readonly boxes: readonly string[];
  readonly createdAt: number;
  readonly stoppedAt: number | null;
}

export interface EndpointView {
  readonly function: string;
  readonly url: string;
  readonly private: boolean;
}

export interface VersionView {
  readonly version: number;
  readonly status: VersionStatus;
  readonly detail: string;
  readonly lines: readonly string[];
  readonly createdAt: number;
  readonly createdBy: Author;
  readonly tag: string;
  readonly commit: string;
  readonly rollbackOf: number | null;
  readonly endpoints: readonly EndpointView[];
  readonly boxes: readonly BoxView[];
}

export interface BoxView {
  readonly name: string;
  readonly connected: boolean;
  /** Whether the version's code is on its disk; without code there is none to lack. */
  readonly hasCode: boolean;
  readonly state: VersionState | null;
  readonly detail: string;
}

/** A version that took over is called so when its boxes have heard, or after this time in any case. */
const TAKING_OVER_MS = 30_000;

export function appView(control: Control, app: App): AppView {
  const { versions } = control;
  const { id, name, environment, kind, createdAt, stoppedAt } = app;
  const serving = versions.newest(id, "serving");
  const candidate = versions.newest(id, "candidate");
  const announced = control.names.snapshotsOf(id);
  const endpoints =
    kind === "deployed"
      ? (serving ?? candidate)?.endpoints.map((endpoint) => ({
          function: endpoint.function,
          url: urlOf(control, endpoint.name),
          private: endpoint.private,
        }))
      : announced.map(({ name: hostName, snapshot }) => ({
          function: functionOf(snapshot.endpoint, app),
          url: urlOf(control, hostName),
          private: snapshot.settings.requiresProxyAuth ?? false,
        }));
  const boxes =
    kind === "deployed"
      ? ((serving ?? candidate)?.endpoints.flatMap((endpoint) => endpoint.boxes) ?? [])
      : [app.box];
  return {
    id,
    name,
    environment,
    kind,
    state: stateOf(app, serving, versions.active(id)),
    version: serving?.version ?? null,
    candidate: candidate?.version ?? null,
    endpoints: endpoints ?? [],
    boxes: [...new Set(boxes)].toSorted(),
    createdAt,
    stoppedAt,
  };
}

export function versionView(control: Control, version: Version, now: number): VersionView {
  const { boxes: known, versionBoxes, names } = control;
  const boxes = versionBoxes.of(version).map((box) => ({
    name: box.box,
    connected: (known.find(box.box)?.connectedAt ?? null) !== null,
    hasCode: version.code === "" || known.hasCode(box.box, version.code),
    state: box.state,
    detail: box.detail,
  }));
  return {
    version: version.version,
    status: shownStatus(version, boxes, names.isSettled(version.app), now),
    detail: version.detail,
    lines: version.lines,
    createdAt: version.createdAt,
    createdBy: version.createdBy,
    tag: version.tag,
    commit: version.commit,
    rollbackOf: version.rollbackOf,
    endpoints: version.endpoints.map((endpoint) => ({
      function: endpoint.function,
      url: urlOf(control, endpoint.name),
      private: endpoint.private,
    })),
    boxes,
  };
}

export function pageOfViews<Item, View>(
  { items, nextCursor }: Page<Item>,
  view: (item: Item) => View,
): Page<View> {
  return { items: items.map(view), nextCursor };
}

/** Serving is what answers: the names must lead to it, and the boxes must have switched. */
function shownStatus(
  { status, servedAt }: Version,
  boxes: readonly { connected: boolean; state: VersionBox["state"] }[],
  isSettled: boolean,
  now: number,
): VersionStatus {
  if (status !== "serving" || now - (servedAt ?? 0) > TAKING_OVER_MS) return status;
  const switched = boxes.every(({ connected, state }) => !connected || state === "serving");
  return isSettled && switched ? "serving" : "candidate";
}

function stateOf(app: App, serving: Version | undefined, active: readonly Version[]): AppState {
  if (app.stoppedAt !== null) return "stopped";
  if (app.kind !== "deployed") return app.kind;
  if (serving !== undefined) return "deployed";
  return active.length > 0 ? "starting" : "failed";
}

/** An announced endpoint's own name for its function. */
function functionOf(endpoint: string, { environment, name }: App): string {
  const prefix = `${environment}/${name}/`;
  return endpoint.startsWith(prefix) ? endpoint.slice(prefix.length) : endpoint;
}
