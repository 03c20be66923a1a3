/** The flag `--run-as` of commands that run apps, and the notice where an app can read the state directory. */

import { userInfo } from "node:os";
import { type AppUser, openAppUser } from "../origin-gpu/app-user.ts";
import { CommandFailure } from "./failure.ts";
import { printNotice } from "./output.ts";

export const RUN_AS_OPTION = {
  "run-as": {
    type: "string",
    value: "USER",
    summary: "the user that runs the apps; needs root (the command's own)",
  },
} as const;

/**
 * The user that `--run-as` names.
 * @param state absolute
 * @throws {CommandFailure} where apps can't run as that user
 */
export async function appUserOf(
  name: string | undefined,
  state: string,
): Promise<AppUser | undefined> {
  if (name === undefined) return undefined;
  const opened = await openAppUser(name, state);
  if (!opened.ok) throw new CommandFailure(`--run-as ${name}: ${opened.error}`);
  return opened.value;
}

/** Tells that whoever may deploy can read the secrets of a state directory. */
export function noticeOfTrust(appUser: AppUser | undefined, state: string): void {
  if (appUser !== undefined) return;
  const remedy = process.getuid?.() === 0 ? "--run-as USER" : "--run-as USER, as root,";
  printNotice(
    `apps run as ${userInfo().username} and can read ${state}, keys included; ${remedy} keeps them out (docs/security.md)`,
  );
}
