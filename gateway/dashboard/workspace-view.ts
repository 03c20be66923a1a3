/** Shows a workspace: its apps by environment, its boxes, calls and use. An empty list says what fills it. */
import { type ActiveApp, shownBoxes, shownCounts } from "../../api/app-activity.ts";
import type { ApiBox } from "../../api/boxes.ts";
import type { ApiCall } from "../../api/calls.ts";
import { type Column, element, link, moment, table } from "./elements.ts";
import type { EndpointUsage, WorkspaceReading } from "./workspace-reader.ts";

/** How a state looks. Its word says the same. A state that is not here looks plain. */
const TONES: ReadonlyMap<string, "good" | "busy" | "bad"> = new Map([
  ["deployed", "good"],
  ["in_place", "good"],
  ["ephemeral", "good"],
  ["connected", "good"],
  ["success", "good"],
  ["starting", "busy"],
  ["pending", "busy"],
  ["running", "busy"],
  ["failed", "bad"],
  ["away", "bad"],
  ["failure", "bad"],
  ["init_failure", "bad"],
  ["timeout", "bad"],
  ["lost", "bad"],
]);

const APP_COLUMNS: readonly Column<ActiveApp>[] = [
  { heading: "App", cell: ({ name, version }) => [name, small(versionOf(version))] },
  { heading: "State", cell: ({ state }) => [stateOf(state)] },
  { heading: "Endpoints", cell: ({ endpoints }) => [endpointList(endpoints)] },
  { heading: "Boxes", cell: ({ boxes }) => [shownBoxes(boxes)] },
  {
    heading: "Containers",
    cell: ({ containers }) => [shownCounts(containers) || small("unknown")],
  },
  {
    heading: "Waiting",
    isNumber: true,
    cell: ({ waiting }) => [waiting?.toLocaleString() ?? small("unknown")],
  },
  {
    heading: "Last error",
    cell: ({ last_error: error }) => [error === "" ? small("none") : lines(error, "bad")],
  },
];

const BOX_COLUMNS: readonly Column<ApiBox>[] = [
  { heading: "Box", cell: ({ name }) => [name] },
  { heading: "State", cell: ({ connected }) => [stateOf(connected ? "connected" : "away")] },
  { heading: "Since", cell: (box) => timeOf(box.connected_at ?? box.last_seen_at) },
  { heading: "Region", cell: ({ region }) => [region || small("none")] },
  { heading: "Agent", cell: ({ agent }) => [agent || small("none yet")] },
];

const CALL_COLUMNS: readonly Column<ApiCall>[] = [
  { heading: "Endpoint", cell: ({ endpoint }) => [endpoint] },
  { heading: "Request", cell: ({ method, path }) => [lines(`${method ?? ""} ${path ?? ""}`)] },
  { heading: "Status", cell: ({ status }) => [stateOf(status)] },
  { heading: "Began", cell: ({ created_at: at }) => timeOf(at ?? null) },
  { heading: "Took", isNumber: true, cell: ({ elapsed_ms: ms }) => [seconds(ms / 1_000)] },
  { heading: "Box", cell: ({ box }) => [box] },
  { heading: "Call", cell: ({ call }) => [element("code", {}, call)] },
];

const USAGE_COLUMNS: readonly Column<EndpointUsage>[] = [
  { heading: "Endpoint", cell: ({ endpoint }) => [endpoint] },
  { heading: "Requests", isNumber: true, cell: ({ requests }) => [requests.toLocaleString()] },
  {
    heading: "Container time",
    isNumber: true,
    cell: ({ containerSeconds }) => [seconds(containerSeconds)],
  },
  { heading: "Refused", isNumber: true, cell: ({ refused }) => [refused.toLocaleString()] },
];

/** The whole of it, in an element whose children are to be shown. */
export function workspaceView(reading: WorkspaceReading): HTMLElement {
  const { boxes, calls, usage, notes } = reading;
  return element(
    "div",
    {},
    ...notes.map((note) => element("p", { class: "note" }, note)),
    ...reading.environments.map((name) => environmentSection(name, reading)),
    section("Boxes", BOX_COLUMNS, boxes, ({ name }) => name, [
      "No box is enrolled. ",
      element("code", {}, "postern origin"),
      " on a GPU machine connects it.",
    ]),
    section("Latest calls", CALL_COLUMNS, calls, ({ box, call }) => `${box}/${call}`, [
      boxes.some(({ connected }) => connected)
        ? "The connected boxes have no calls."
        : "No box is connected, and boxes alone know their calls.",
    ]),
    section("Use today", USAGE_COLUMNS, usage, ({ endpoint }) => endpoint, [
      "Nothing is counted yet today (UTC).",
    ]),
  );
}

function environmentSection(name: string, { apps }: WorkspaceReading): HTMLElement {
  const own = apps.filter(({ environment }) => environment === name);
  const live = own.filter(({ state }) => state !== "stopped");
  const stopped = own.length - live.length;
  const flag = name === "main" ? "" : ` --env ${name}`;
  const shown = section(`Apps in ${name}`, APP_COLUMNS, live, ({ id }) => id, [
    "No app is here. ",
    element("code", {}, `postern deploy${flag}`),
    " in a folder with a postern.toml brings one.",
  ]);
  if (stopped > 0) shown.append(element("p", { class: "note" }, `Stopped of late: ${stopped}`));
  return shown;
}

/** A table, or what to do while it has no row. */
function section<Row>(
  caption: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  empty: readonly (Node | string)[],
): HTMLElement {
  const content =
    rows.length > 0
      ? [table(caption, columns, rows, keyOf)]
      : [element("h2", {}, caption), element("p", { class: "empty" }, ...empty)];
  return element("section", { "data-key": caption }, ...content);
}

function endpointList(endpoints: ActiveApp["endpoints"]): HTMLElement {
  const items = endpoints.map(({ url, private: isPrivate }) =>
    element("li", {}, link(url), ...(isPrivate ? [" ", small("private")] : [])),
  );
  return items.length === 0 ? small("none") : element("ul", {}, ...items);
}

function stateOf(state: string): HTMLElement {
  const word = state.replaceAll("_", " ");
  return element("span", { class: `state ${TONES.get(state) ?? ""}` }, word);
}

/** Words of others, of any length and with line breaks. */
function lines(text: string, tone = ""): HTMLElement {
  return element("span", { class: `lines ${tone}` }, text);
}

function small(text: string): HTMLElement {
  return element("small", {}, text);
}

function versionOf(version: number | null): string {
  return version === null ? "" : ` v${version}`;
}

function timeOf(time: string | null): readonly (Node | string)[] {
  return [time === null ? small("never") : moment(time)];
}

function seconds(count: number): string {
  return `${count.toLocaleString(undefined, { maximumFractionDigits: count < 10 ? 3 : 0 })} s`;
}
