/** `postern app`: the apps of an environment, their versions, and the way back to an earlier one. */

import { shownBoxes, shownCounts, withActivity } from "../../api/app-activity.ts";
import { LIST_VERSIONS, ROLLBACK_APP } from "../../api/versions.ts";
import { type ApiApp, LIST_APPS, STOP_APP } from "../../api/apps.ts";
import { ACCESS_NOTE, STATE_OPTION } from "../access.ts";
import { APP_NOTE, placeOfApp } from "../app-place.ts";
import type { Command, CommandGroup } from "../command.ts";
import { confirmAtTerminal, YES_OPTION } from "../confirm.ts";
import { activitiesOf } from "../app-activity.ts";
import { APP_LOGS } from "./app-logs.ts";
import { APP_SCALE, shownScaling } from "./app-scale.ts";
import { untilServing } from "../deploy/follow.ts";
import { showServing } from "../deploy/show.ts";
import { UsageError } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { listenForStop } from "../stop-signals.ts";
import { tableOf } from "../table.ts";

const LIST: Command<typeof STATE_OPTION> = {
  description: {
    name: "app list",
    summary: "Lists an environment's apps: deployed, running, or stopped not long ago.",
    positionals: [],
    options: STATE_OPTION,
    notes: ["Containers and requests that wait are counted by the boxes that answer.", ACCESS_NOTE],
  },
  async run({ values }) {
    const { client, environment } = await placeOfApp(values);
    const listed = await client.list(LIST_APPS, { query: { environment } });
    const activities = await activitiesOf(client, listed);
    const apps = listed.map((app) => withActivity(app, activities));
    if (values.json === true) {
      printJson(apps);
      return 0;
    }
    const rows = apps.map((app) => [
      app.id,
      app.name,
      app.state,
      shownVersion(app.version),
      app.state === "stopped" ? "" : shownBoxes(app.boxes),
      shownCounts(app.containers),
      app.waiting === null ? "" : String(app.waiting),
      app.created_at,
      app.stopped_at ?? "",
      shownScalings(app.scaling),
      app.last_error,
    ]);
    const headings = [
      "ID",
      "NAME",
      "STATE",
      "VERSION",
      "BOXES",
      "CONTAINERS",
      "WAITING",
      "CREATED",
      "STOPPED",
      "SCALED",
      "LAST ERROR",
    ];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

const HISTORY: Command<typeof STATE_OPTION> = {
  description: {
    name: "app history",
    summary: "Lists an app's versions and how each was scaled, newest first.",
    positionals: ["APP"],
    options: STATE_OPTION,
    notes: [APP_NOTE, ACCESS_NOTE],
  },
  async run({ values, positionals: [app = ""] }) {
    const { client, environment } = await placeOfApp(values, app);
    const versions = await client.list(LIST_VERSIONS, { path: { app }, query: { environment } });
    if (values.json === true) {
      printJson(versions);
      return 0;
    }
    const rows: string[][] = [];
    for (const version of versions) {
      const shown = shownVersion(version.version);
      for (const { function: name, change, created_at: at, ...by } of version.scalings) {
        const what = `${name}: ${shownScaling(change)}`;
        rows.push([shown, "scaled", at, by.created_by_name || by.created_by, "", "", "", what]);
      }
      rows.push([
        shown,
        version.status,
        version.created_at,
        version.created_by_name || version.created_by,
        version.commit,
        version.tag,
        shownVersion(version.rollback_of),
        version.detail,
      ]);
    }
    const headings = [
      "VERSION",
      "STATUS",
      "CREATED",
      "BY",
      "COMMIT",
      "TAG",
      "ROLLBACK OF",
      "REASON",
    ];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

const ROLLBACK: Command<typeof STATE_OPTION> = {
  description: {
    name: "app rollback",
    summary: "Deploys an earlier version again, as a new one: the one before, or the one named.",
    positionals: ["APP", "[vN]"],
    options: STATE_OPTION,
    notes: [APP_NOTE, ACCESS_NOTE],
  },
  async run({ values, positionals: [app = "", named] }) {
    const body = named === undefined ? {} : { version: versionNumber(named) };
    const { client, environment, gatewayUrl } = await placeOfApp(values, app);
    const stop = listenForStop();
    void stop.insisted.then(() => process.exit(1));
    const { version } = await client.call(ROLLBACK_APP, {
      path: { app },
      query: { environment },
      body,
    });
    const watched = { app, environment, version };
    const watching = { client, stopped: stop.asked, notice: printNotice };
    const serving = await untilServing(watched, watching);
    await showServing(watched, serving, { json: values.json === true, gatewayUrl });
    return 0;
  },
};

const STOP_OPTIONS = { ...YES_OPTION, ...STATE_OPTION } as const;

const STOP: Command<typeof STOP_OPTIONS> = {
  description: {
    name: "app stop",
    summary: "Stops an app: its URLs answer 410, and anybody may take their names.",
    positionals: ["APP"],
    options: STOP_OPTIONS,
    notes: [APP_NOTE, ACCESS_NOTE],
  },
  async run({ values, positionals: [app = ""] }) {
    const { client, environment } = await placeOfApp(values, app);
    await confirmAtTerminal(`stop ${app} in ${environment}`, values.yes);
    await client.call(STOP_APP, { path: { app }, query: { environment } });
    if (values.json === true) printJson({ app, environment, stopped: true });
    else printNotice(`${app} is stopped`);
    return 0;
  },
};

export const APP: CommandGroup = {
  name: "app",
  summary: "Shows, scales, rolls back and stops apps, and what they print.",
  commands: {
    list: LIST,
    history: HISTORY,
    rollback: ROLLBACK,
    stop: STOP,
    logs: APP_LOGS,
    scale: APP_SCALE,
  },
};

/** `v3`, or `3`. */
function versionNumber(text: string): number {
  const digits = /^v?([1-9]\d{0,8})$/.exec(text)?.[1];
  if (digits === undefined) throw new UsageError(`"${text}" is not a version, such as v3`);
  return Number(digits);
}

function shownVersion(version: number | null): string {
  return version === null ? "" : `v${version}`;
}

/** `web: min 2, max 4`. */
function shownScalings(scaling: ApiApp["scaling"]): string {
  return Object.entries(scaling)
    .map(([name, change]) => `${name}: ${shownScaling(change)}`)
    .join("; ");
}
