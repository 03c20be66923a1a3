/** Apps and versions as people see them: with URLs, and with what their boxes say. */
import { authKindsOf } from "../../../routing/wire/auth-settings.ts";
import type { App } from "./app-records.ts";
import { type Control, urlOf } from "./control.ts";
import type { Page } from "../../contracts/workspace/pages.ts";
import type {
  AppView,
  BoxView,
  EndpointView,
  VersionView,
} from "../../contracts/workspace/apps.ts";
import type { AppState } from "../../../api/app-states.ts";
import type { VersionStatus } from "../../../api/version-status.ts";
import type { VersionBox } from "./version-boxes.ts";
import type { Version } from "./versions.ts";

/** A version that took over is called so when its boxes have heard, or after this time in any case. */
const TAKING_OVER_MS = 30_000;

const NOT_CONNECTED = "none of its boxes is connected";

export function appView(control: Control, app: App): AppView {
  const { versions } = control;
  const { id, name, environment, kind, createdAt, stoppedAt } = app;
  const serving = versions.newest(id, "serving");
  const candidate = versions.newest(id, "candidate");
  const announced = control.names.snapshotsOf(id);
  const endpoints =
    kind === "deployed"
      ? endpointViews(control, serving ?? candidate)
      : announced.map(({ name: hostName, snapshot }) => ({
          function: functionOf(snapshot.endpoint, app),
          url: urlOf(control, hostName),
          private: snapshot.settings.requiresProxyAuth ?? false,
          auth: authKindsOf(snapshot.settings.auth),
        }));
  const version = serving ?? candidate;
  const boxes =
    kind === "deployed"
      ? version === undefined
        ? []
        : boxViews(control, version)
      : [boxInPlace(control, app.box)];
  return {
    id,
    name,
    environment,
    kind,
    state: stateOf(app, serving, versions.active(id)),
    version: serving?.version ?? null,
    candidate: candidate?.version ?? null,
    endpoints,
    scaling: serving === undefined ? {} : control.scalings.byFunction(serving),
    boxes,
    lastError:
      stoppedAt === null
        ? (serving && whyIdle(control, serving, boxes)) || lastErrorOf(control, app, boxes)
        : "",
    createdAt,
    stoppedAt,
  };
}

export function versionView(control: Control, version: Version, now: number): VersionView {
  const { names } = control;
  const boxes = boxViews(control, version);
  const status = statusOf(version, boxes, names.isSettled(version.app), now);
  return {
    version: version.version,
    status,
    detail: status === "serving" ? whyIdle(control, version, boxes) : version.detail,
    lines: version.lines,
    createdAt: version.createdAt,
    createdBy: version.createdBy,
    tag: version.tag,
    commit: version.commit,
    rollbackOf: version.rollbackOf,
    endpoints: endpointViews(control, version),
    scalings: control.scalings.list(version),
    boxes,
  };
}

export function pageOfViews<Item, View>(
  { items, nextCursor }: Page<Item>,
  view: (item: Item) => View,
): Page<View> {
  return { items: items.map(view), nextCursor };
}

function endpointViews(control: Control, version: Version | undefined): EndpointView[] {
  const endpoints = version?.endpoints ?? [];
  return endpoints.map(({ function: name, name: hostName, private: isPrivate, auth = [] }) => ({
    function: name,
    url: urlOf(control, hostName),
    private: isPrivate,
    auth,
  }));
}

/** How far a version is on the boxes that it was placed on. */
function boxViews({ boxes: known, versionBoxes }: Control, version: Version): BoxView[] {
  return versionBoxes.of(version).map((box) => ({
    name: box.box,
    connected: isConnected(known, box.box),
    hasCode: version.code === "" || known.hasCode(box.box, version.code),
    state: box.state,
    detail: box.detail,
  }));
}

/** The box that an app was announced by: it serves the app while it is there. */
function boxInPlace({ boxes: known }: Control, name: string): BoxView {
  const connected = isConnected(known, name);
  return { name, connected, hasCode: true, state: connected ? "serving" : null, detail: "" };
}

function isConnected(known: Control["boxes"], name: string): boolean {
  return (known.find(name)?.connectedAt ?? null) !== null;
}

/** Why no box runs the version that serves, as far as is known; empty where one does, or is about to. */
function whyIdle({ boxes: known }: Control, { code }: Version, boxes: readonly BoxView[]): string {
  const here = boxes.filter(({ connected }) => connected);
  if (here.some(({ state }) => state === "serving" || state === "ready")) return "";
  const holders = code === "" ? undefined : known.holdersOf(code).map(({ box }) => box);
  if (holders?.length === 0) return "no box has its code: deploy it again";
  if (here.length === 0) return NOT_CONNECTED;
  if (holders !== undefined && !holders.some((box) => isConnected(known, box))) {
    return `no connected box has its code: connect ${holders.join(" or ")}, or deploy it again`;
  }
  return failureOf(here);
}

/** The words of a box on which a version fails; empty without one. */
function failureOf(boxes: readonly BoxView[]): string {
  const failed = boxes.find(({ state, detail }) => state === "failed" && detail !== "");
  return failed === undefined ? "" : `${failed.name}: ${failed.detail}`;
}

/** The reason why an app does not answer, as far as its boxes and its versions say; empty without one. */
function lastErrorOf({ versions }: Control, { id, kind }: App, boxes: readonly BoxView[]): string {
  const failure = failureOf(boxes);
  if (failure !== "") return failure;
  if (boxes.length > 0 && !boxes.some(({ connected }) => connected)) return NOT_CONNECTED;
  if (kind !== "deployed") return "";
  const last = versions.newest(id, "failed");
  const isNewest =
    last !== undefined && last.version > (versions.newest(id, "serving")?.version ?? 0);
  return isNewest ? `v${last.version}: ${last.detail}` : "";
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
