/**
 * Writes the profile that a gateway keeps of its own workspace in its state directory: its URL and the workspace's
 * first API token. The token follows from the directory's key, so writing the profile again changes nothing.
 */

import { messageOf } from "../../base/thrown.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";
import { firstApiToken } from "../../auth/tokens.ts";
import { writeChecked } from "../checked-file.ts";
import { CommandFailure } from "../failure.ts";
import { ownProfilePath, Profiles } from "../profiles.ts";
import type { StateDirectory } from "./state-directory.ts";

/** Writes the profile; the file holds it alone, under the workspace's name. */
export async function writeOwnProfile(
  { path, key }: Pick<StateDirectory, "path" | "key">,
  url: string,
  workspace: string,
): Promise<void> {
  const keys = await deriveGatewayKeys(key).catch((error: unknown) => {
    throw new CommandFailure(`${path}/key: ${messageOf(error)}`);
  });
  const { id, secret } = await firstApiToken(keys, workspace);
  const profiles = Profiles.empty(ownProfilePath(path));
  profiles.update(workspace, { active: true, url, token_id: id, token_secret: secret });
  profiles.write(writeChecked);
}
