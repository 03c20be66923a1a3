/**
 * This machine's enrolment as a box, in `identity.json` of the agent's state directory. A holder of that file can be
 * this box, so its owner alone can read it. A revoked box is never enrolled again from here: the revocation would not
 * last.
 */

import { ENROL_BOX } from "../api/boxes.ts";
import { join } from "node:path";
import * as z from "zod";
import type { BoxEnrolment } from "../auth/box-credential.ts";
import { workspaceOfApiToken } from "../auth/tokens.ts";
import type { Access } from "./access.ts";
import { keepChecked, readChecked, writeChecked } from "./checked-file.ts";
import { ApiClient } from "./client.ts";
import { makePrivateDirectory, writing } from "./directory-lock.ts";
import { CommandFailure } from "./failure.ts";
import { observer } from "./observer.ts";

const IDENTITY = z.object({
  /** The gateway of the enrolment. */
  url: z.string(),
  workspace: z.string(),
  box: z.string(),
  region: z.string(),
  serial: z.string(),
  key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  audience: z.string(),
});

/** An enrolment and where it holds. */
export type StoredBoxIdentity = z.output<typeof IDENTITY> & BoxEnrolment;

export interface BoxRequest {
  /** Enrols a box that is not enrolled yet. Its token needs the scope `deploy`. */
  readonly access: Access;
  /** The agent's state directory. */
  readonly directory: string;
  readonly name: string;
  /** Undefined: the one that it has, or none. */
  readonly region?: string | undefined;
  /**
   * The base domain of a gateway whose state is on this machine. The enrolment holds there although its URL may
   * change.
   */
  readonly ownDomain?: string;
}

/** The identity in a state directory, or undefined where there is none. @throws CommandFailure for a broken one */
export function readIdentity(directory: string): StoredBoxIdentity | undefined {
  const path = identityPath(directory);
  const file = readChecked(path);
  if (file === undefined) return undefined;
  const parsed = IDENTITY.safeParse(parseJson(file.text));
  if (!parsed.success) {
    throw new CommandFailure(
      `${path} is not a box's identity; remove it, and the box is enrolled anew`,
    );
  }
  keepChecked(path, file, observer.notice);
  return parsed.data;
}

/** The box of a state directory. Enrols it where it is not enrolled, or gets another name or region. */
export async function enrolledBox(request: BoxRequest): Promise<StoredBoxIdentity> {
  const { access, directory, name, region, ownDomain } = request;
  const present = readIdentity(directory);
  const isHere = ownDomain !== undefined || present?.url === access.url;
  if (
    present !== undefined &&
    isHere &&
    present.workspace === workspaceOfApiToken(access.tokenId) &&
    present.box === name &&
    (region === undefined || present.region === region)
  ) {
    return { ...present, audience: ownDomain ?? present.audience };
  }
  const enrolled = await enrol(access, { name, region: region ?? present?.region ?? "" });
  writing(directory, () => {
    makePrivateDirectory(directory);
    writeChecked(identityPath(directory), `${JSON.stringify(enrolled, undefined, 2)}\n`);
  });
  return enrolled;
}

/** Enrols a box that the gateway forgets a minute after its last link, and that leaves nothing on this machine. */
export async function ephemeralBox(access: Access, name: string): Promise<StoredBoxIdentity> {
  return await enrol(access, { name, region: "", ephemeral: true });
}

async function enrol(
  access: Access,
  chosen: { readonly name: string; readonly region: string; readonly ephemeral?: boolean },
): Promise<StoredBoxIdentity> {
  const answer = await new ApiClient(access).call(ENROL_BOX, { body: chosen });
  const parsed = IDENTITY.safeParse({ ...answer, url: access.url, box: chosen.name });
  if (!parsed.success)
    throw new CommandFailure(`${access.url} did not answer as a Postern gateway does`);
  return parsed.data;
}

function identityPath(directory: string): string {
  return join(directory, "identity.json");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
