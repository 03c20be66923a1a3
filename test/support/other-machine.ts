/** Commands on machines of their own: they know the gateway by its URL and a token, and share no directory with it. */
import { ownAccess } from "../../cli/access.ts";
import { type Gateway, startCommand } from "./harness.ts";
import type { ManagedProcess } from "./processes.ts";
import { temporaryDirectory } from "./temporary.ts";

/** Starts one on a new machine. @param more of its environment */
export function startElsewhere(
  { port, stateDirectory }: Pick<Gateway, "port" | "stateDirectory">,
  args: readonly string[],
  more: NodeJS.ProcessEnv = {},
): ManagedProcess {
  const { tokenId, tokenSecret } = ownAccess(stateDirectory);
  const home = temporaryDirectory();
  const env = {
    HOME: home,
    POSTERN_CONFIG_PATH: undefined,
    POSTERN_URL: `http://localhost:${port}`,
    POSTERN_TOKEN_ID: tokenId,
    POSTERN_TOKEN_SECRET: tokenSecret,
    ...more,
  };
  return startCommand(args, { env, cwd: home });
}
