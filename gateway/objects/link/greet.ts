/**
 * Tells a workspace of a link that came up. Having a link does not depend on noting it: a workspace whose disk is full
 * answers from what it has noted before, and is told again until it can note the link. Names the process for the welcome.
 */
import { reportError } from "../../contracts/observer.ts";
import type { Env } from "../../contracts/env.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import type { Greeting } from "../../contracts/workspace/boxes.ts";
import type { Welcome } from "../../../routing/wire/messages.ts";

/** Until a link that could not be noted is told of again. A write that fails ends the workspace's object each time. */
const RETRY_MS = 30_000;

/**
 * Returns the answers to what the agent announces; undefined when the box is not enrolled any more.
 * @param isUp whether the link is still there
 * @throws Error where the workspace cannot be asked at all
 */
export async function greet(
  env: Env,
  workspace: string,
  greeting: Greeting,
  isUp: () => boolean,
): Promise<Welcome["endpoints"] | undefined> {
  try {
    return await workspaceStub(env, workspace).greet(greeting);
  } catch (error) {
    reportError(env, `noting a link of ${greeting.box}`, error);
    const answers = await workspaceStub(env, workspace).recall(greeting);
    if (answers !== undefined) greetLater(env, workspace, greeting, isUp);
    return answers;
  }
}

function greetLater(env: Env, workspace: string, greeting: Greeting, isUp: () => boolean): void {
  setTimeout(() => {
    if (!isUp()) return;
    const noted = workspaceStub(env, workspace).greet(greeting);
    noted.catch(() => greetLater(env, workspace, greeting, isUp));
  }, RETRY_MS);
}

let ownName: string | undefined;

/** A name of this process, where the clients' connections live and die with it; undefined elsewhere. */
export function processName(env: Env): string | undefined {
  if (env.POSTERN_ONE_ISOLATE !== "1") return undefined;
  // Random values are not to be had outside of requests.
  ownName ??= crypto.randomUUID();
  return ownName;
}
