/** `postern box`: the GPU boxes that are enrolled in a workspace. */

import { GET_BOX, LIST_BOXES, REVOKE_BOX } from "../../api/boxes.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { tableOf } from "../table.ts";

const OF_WORKSPACE = "a box belongs to its whole workspace, not to an environment";

const LIST: Command<typeof STATE_OPTION> = {
  description: {
    name: "box list",
    summary: "Lists the workspace's boxes, newest first.",
    positionals: [],
    options: STATE_OPTION,
    noEnvironment: OF_WORKSPACE,
    notes: [ACCESS_NOTE],
  },
  async run({ values }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const boxes = await client.list(LIST_BOXES, {});
    if (values.json === true) {
      printJson(boxes);
      return 0;
    }
    const rows = boxes.map((box) => [
      box.name,
      box.region || "-",
      box.connected ? `since ${box.connected_at}` : "no",
      box.last_seen_at ?? "never",
      box.agent || "-",
      box.ephemeral ? "yes" : "no",
    ]);
    const headings = ["NAME", "REGION", "CONNECTED", "LAST SEEN", "AGENT", "EPHEMERAL"];
    for (const line of tableOf(headings, rows)) printResult(line);
    return 0;
  },
};

const REVOKE: Command<typeof STATE_OPTION> = {
  description: {
    name: "box revoke",
    summary: "Revokes a box: it is cut off at once, and its key opens nothing any more.",
    positionals: ["NAME"],
    options: STATE_OPTION,
    noEnvironment: OF_WORKSPACE,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [name = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const path = { box: name };
    // A mistyped name is refused: the box that was meant is not revoked.
    await client.call(GET_BOX, { path });
    await client.call(REVOKE_BOX, { path });
    if (values.json === true) printJson({ name, revoked: true });
    else printNotice(`${name} is revoked`);
    return 0;
  },
};

export const BOX: CommandGroup = {
  name: "box",
  summary: "Lists and revokes the GPU boxes that are enrolled.",
  commands: { list: LIST, revoke: REVOKE },
};
