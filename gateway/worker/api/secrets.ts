/** `/api/v1/secrets`: named environment variables for containers. Values go in and never come out here. */
import { isObjectName } from "../../../routing/names.ts";
import type { SecretInfo } from "../../contracts/workspace/secrets.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { unlessRefused } from "./apps.ts";
import { ApiProblem } from "./problems.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import { LIST_SECRETS, PUT_SECRET, DELETE_SECRET, type ApiSecret } from "../../../api/secrets.ts";
import { pageRequest, toPage, toTime } from "./documents.ts";

export const SECRET_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_SECRETS, async ({ env, caller, query }) => {
    const { environment, ...page } = query;
    const stub = workspaceStub(env, caller.workspace);
    const listed = await stub.listSecrets(environment, pageRequest(page));
    return toPage(unlessRefused(listed), toApiSecret);
  }),
  handle(PUT_SECRET, async ({ env, caller, path, query, body }) => {
    const name = nameOf(path);
    const { environment, replace } = query;
    const chosen = {
      environment,
      name,
      variables: body.variables,
      replace: replace === "true",
    };
    const stub = workspaceStub(env, caller.workspace);
    return toApiSecret(unlessRefused(await stub.putSecret(chosen, caller.token.id)));
  }),
  handle(DELETE_SECRET, async ({ env, caller, path, query: { environment } }) => {
    const stub = workspaceStub(env, caller.workspace);
    unlessRefused(await stub.deleteSecret(environment, nameOf(path)));
  }),
];

/** @throws ApiProblem for what is no secret's name */
function nameOf({ name = "" }: Readonly<Record<string, string>>): string {
  if (isObjectName(name)) return name;
  const right = '1 to 64 ASCII letters, digits, "-", "." and "_"';
  throw new ApiProblem("parameter_invalid", `name: must be ${right}`);
}

function toApiSecret(secret: SecretInfo): ApiSecret {
  const { name, variables, readable, updatedBy } = secret;
  return {
    name,
    variables: [...variables],
    readable,
    created_at: toTime(secret.createdAt),
    updated_at: toTime(secret.updatedAt),
    updated_by: updatedBy,
  };
}
