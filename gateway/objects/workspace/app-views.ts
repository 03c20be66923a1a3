/** Apps and versions as people see them: with URLs, and with what their boxes say. */
import type { App } from "./app-records.ts";
import { type Control, urlOf } from "./control.ts";
import type { Page } from "../../contracts/workspace/pages.ts";
import type { AppView, VersionView } from "../../contracts/workspace/apps.ts";
import type { AppState } from "../../../api/app-states.ts";
import type { VersionStatus } from "../../../api/version-status.ts";
import type { VersionBox } from "./version-boxes.ts";
import type { Version } from "./versions.ts";

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
    status: statusOf(version, boxes, names.isSettled(version.app), now),
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
function statusOf(
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
