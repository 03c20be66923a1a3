/** `app_kind` before Streamlit and Jupyter themselves, without a browser: what test/e2e/app-kinds.test.ts tests before stand-ins. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";

import { twoAreReady } from "../../support/app-kinds/containers.ts";
import { describeJupyter, jupyterEndpoints } from "../../support/app-kinds/jupyter.ts";
import { describeStreamlit, streamlitEndpoints } from "../../support/app-kinds/streamlit.ts";
import { APPS, type Gateway, startUp } from "../../support/harness.ts";
import { JUPYTER, STREAMLIT } from "../../support/sessions/page-commands.ts";
import { temporaryDirectory } from "../../support/temporary.ts";
import { ensureSessionsVenv } from "../../support/venv.ts";

let postern: Gateway;
beforeAll(async () => {
  const python = await ensureSessionsVenv("pages");
  const directory = temporaryDirectory();
  cpSync(join(APPS, "streamlit_app.py"), join(directory, "streamlit_app.py"));
  writeFileSync(join(directory, "note.txt"), "a note\n");
  const server = (command: string) => ({ web_server: ["sh", "-c", command, python], directory });
  postern = await startUp(
    [...streamlitEndpoints(server(STREAMLIT)), ...jupyterEndpoints(server(`${JUPYTER}$PWD`))],
    { domain: "gw.test" },
  );
  await twoAreReady(postern, "streamlit", "jupyter");
});
afterAll(async () => await postern.stop());

describeStreamlit(() => postern);
describeJupyter(() => postern);
