/** The entry of the audit log around an operation that may change something. */
import type { ApiOperation } from "../../../api/operation.ts";
import type { Env } from "../../contracts/env.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import type { Caller } from "./caller.ts";
import { ApiProblem } from "./problems.ts";

interface AskedOperation {
  readonly env: Env;
  readonly caller: Caller;
  readonly path: Readonly<Record<string, string>>;
  readonly query: unknown;
  readonly body: unknown;
}

/**
 * Runs an operation, with its entry where it may change something. Where no entry can be made nothing is changed.
 */
export async function audited(
  operation: ApiOperation,
  { env, caller, path, query, body }: AskedOperation,
  run: () => Promise<unknown>,
): Promise<unknown> {
  if (operation.method === "get") return await run();
  const { workspace, token } = caller;
  const stub = workspaceStub(env, workspace);
  const inPath = Object.values(path);
  const number = await stub.noteBegun({
    by: token.id,
    byName: token.name,
    operation: operation.id,
    object: [
      ...wordOf(query, "environment"),
      ...wordOf(body, "environment"),
      ...inPath,
      ...wordOf(body, "name"),
    ].join("/"),
  });
  try {
    const document = await run();
    // A thing that got its id just now: a token.
    const made = inPath.length === 0 ? wordOf(document, "id")[0] : undefined;
    await stub.noteEnded(number, "ok", made);
    return document;
  } catch (error) {
    await stub.noteEnded(number, error instanceof ApiProblem ? error.code : "internal_error");
    throw error;
  }
}

/** A text member of a document; no other one of a body may reach the log. */
function wordOf(document: unknown, member: "environment" | "name" | "id"): string[] {
  const value = (document as Readonly<Record<string, unknown>> | undefined)?.[member];
  return typeof value === "string" && value !== "" ? [value] : [];
}
