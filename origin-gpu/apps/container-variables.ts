/** The environment variables by which the agent tells containers about their app, their version and their box. */

export interface AppIdentity {
  readonly app: string;
  readonly environment: string;
  readonly box: string;
  /** Empty where the box says none. */
  readonly region: string;
  /** 0 for an app that a box announces itself: it has no versions. */
  readonly version: number;
  /** Opens the app's own private endpoints; empty where the gateway gave none. */
  readonly token: string;
  /** By function, all endpoints of the app, as clients know them. */
  readonly urls: Readonly<Record<string, string>>;
  /** The same endpoints, as programs on this box reach them (loopback-urls.ts). */
  readonly reachableUrls: Readonly<Record<string, string>>;
}

/** @param functionName whose containers they are */
export function containerVariables(
  { app, environment, box, region, version, token, urls, reachableUrls }: AppIdentity,
  functionName: string,
): Record<string, string> {
  const url = urls[functionName] ?? "";
  return {
    POSTERN_WEB_URL: url,
    POSTERN_WEB_HOST: url === "" ? "" : new URL(url).hostname,
    POSTERN_URLS: JSON.stringify(reachableUrls),
    POSTERN_PUBLIC_URLS: JSON.stringify(urls),
    POSTERN_APP: app,
    POSTERN_ENVIRONMENT: environment,
    POSTERN_BOX: box,
    POSTERN_REGION: region,
    POSTERN_VERSION: String(version),
    POSTERN_APP_TOKEN: token,
  };
}
