/** `/api/v1/apps/{app}/connect-tokens`: tokens that open one endpoint for a time. No object keeps them. */
import { signConnectToken } from "../../../auth/connect-token.ts";
import { CREATE_CONNECT_TOKEN } from "../../../api/connect-tokens.ts";
import { CONNECT_NAMES } from "../../../routing/connect-token.ts";
import { gatewayKeys } from "../../contracts/keys.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { appAddress, noApp } from "./apps.ts";
import { toTime } from "./documents.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import { ApiProblem } from "./problems.ts";

export const CONNECT_TOKEN_HANDLERS: readonly ApiHandler[] = [
  handle(CREATE_CONNECT_TOKEN, async ({ env, caller: { workspace }, path, query, body }) => {
    const address = appAddress(path, query);
    const app = await workspaceStub(env, workspace).app(address);
    if (app === undefined || app.stoppedAt !== null) throw noApp(address);
    const { name, environment } = app;
    const endpoint = app.endpoints.find((candidate) => candidate.function === body.function);
    if (endpoint === undefined) {
      const known = app.endpoints.map((candidate) => candidate.function).join(", ");
      throw new ApiProblem(
        "not_found",
        `${name} has no function ${body.function}; it has ${known}`,
      );
    }
    const expiresAtS = Math.ceil(Date.now() / 1_000) + body.expires_in;
    const claims = {
      workspace,
      environment,
      app: name,
      endpoint: `${environment}/${name}/${endpoint.function}`,
      userData: body.user_metadata,
      expiresAtS,
    };
    const { connectTokens } = await gatewayKeys(env);
    const token = await signConnectToken(claims, connectTokens).catch(() => undefined);
    if (token === undefined) {
      throw new ApiProblem("parameter_invalid", "body.user_metadata: is too long for a cookie");
    }
    const url = `${endpoint.url}/?${CONNECT_NAMES[0]}=${token}`;
    return { token, url, expires_at: toTime(expiresAtS * 1_000) };
  }),
];
