/** `postern app logs`: what an app's containers print. */
import { GET_APP } from "../../api/apps.ts";
import { ACCESS_NOTE, STATE_OPTION } from "../access.ts";
import { APP_NOTE, placeOfApp } from "../app-place.ts";
import type { Command } from "../command.ts";
import { CommandFailure } from "../failure.ts";
import { AppLogs } from "../logs/app-logs.ts";
import { LineOwners, LOG_OPTIONS, logRange } from "../logs/log-line.ts";
import { printedLogs } from "../logs/shown-logs.ts";

const OPTIONS = {
  ...LOG_OPTIONS,
  function: { type: "string", value: "NAME", summary: "of this function's containers alone" },
  ...STATE_OPTION,
} as const;

export const APP_LOGS: Command<typeof OPTIONS> = {
  description: {
    name: "app logs",
    summary: "Shows what an app's containers print, on all boxes and of all versions.",
    positionals: ["APP"],
    options: OPTIONS,
    notes: [
      "Lines that begin with `postern:` say what became of a container.",
      APP_NOTE,
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [app = ""] }) {
    const range = logRange(values, Date.now());
    const { client, environment } = await placeOfApp(values, app);
    const { endpoints } = await client.call(GET_APP, { path: { app }, query: { environment } });
    const functions = endpoints.map((endpoint) => endpoint.function);
    const { function: wanted } = values;
    if (wanted !== undefined && functions.length > 0 && !functions.includes(wanted)) {
      throw new CommandFailure(`${app} has no function ${wanted}; it has ${functions.join(", ")}`);
    }
    const owners = new LineOwners(wanted === undefined ? functions : [wanted]);
    const shown = printedLogs({ ...values, owners });
    const logs = new AppLogs(client, { app, environment, function: wanted, range }, shown);
    await logs.show();
    if (values.follow === true) await logs.follow();
    return 0;
  },
};
