/** The words that run a container's command as its user, in its directory. */
import { fileURLToPath } from "node:url";

import { commandAs } from "../app-user.ts";
import type { LaunchOptions } from "./launched-command.ts";

const LAUNCHER = fileURLToPath(new URL("launch.sh", import.meta.url));

/** launch.sh says in words why a command can't run. */
export function launchCommand({
  user,
  command,
}: Pick<LaunchOptions, "user" | "command">): string[] {
  return [...commandAs(user, ["/bin/sh", LAUNCHER]), ...command];
}
