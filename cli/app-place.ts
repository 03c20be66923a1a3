/** Where the app is that a command names. */
import { GET_APP, isAppId } from "../api/apps.ts";
import { findAccess } from "./access.ts";
import { ApiClient } from "./client.ts";
import { chooseEnvironment } from "./environment.ts";

export const APP_NOTE = "APP is an app's name in the environment, or its id (ap-…).";

interface AppValues {
  readonly env?: string;
  readonly state?: string;
}

/** Which gateway and which of its environments a command means; an app's id says where it is. */
export async function placeOfApp(
  values: AppValues,
  app?: string,
): Promise<{ client: ApiClient; environment: string; gatewayUrl: string }> {
  const access = findAccess(values.state, process.env);
  const client = new ApiClient(access);
  const environment =
    app !== undefined && isAppId(app)
      ? (await client.call(GET_APP, { path: { app } })).environment
      : await chooseEnvironment(client, values.env, process.env);
  return { client, environment, gatewayUrl: access.url };
}
