/** `postern sign-in`: sign-ins of people at the workspace's endpoints. */

import { REVOKE_SIGN_INS } from "../../api/sign-ins.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { printNotice } from "../output.ts";

const REVOKE: Command<typeof STATE_OPTION> = {
  description: {
    name: "sign-in revoke",
    summary: "Ends each sign-in of a person at the workspace's endpoints, everywhere within 5 s.",
    positionals: [],
    options: STATE_OPTION,
    noEnvironment: "sign-ins end in the whole workspace",
    notes: ["People sign in again. Open WebSockets and streams go on.", ACCESS_NOTE],
  },
  async run({ values }) {
    await new ApiClient(findAccess(values.state, process.env)).call(REVOKE_SIGN_INS, {});
    printNotice("people sign in again, from now on");
    return 0;
  },
};

export const SIGN_IN: CommandGroup = {
  name: "sign-in",
  summary: "Ends sign-ins of people at the workspace's endpoints.",
  commands: { revoke: REVOKE },
};
