/** The environment variables of containers: which names there are, and which the agent keeps to itself. */

/** JSON: the values by which a container's function is parametrized. */
export const PARAMETERS_VARIABLE = "POSTERN_PARAMETERS";

/** The agent sets these in a container, so that neither `env` nor a secret may. */
export const RESERVED_VARIABLES: ReadonlySet<string> = new Set([
  "PORT",
  "POSTERN_WEB_URL",
  "POSTERN_WEB_HOST",
  "POSTERN_URLS",
  "POSTERN_PUBLIC_URLS",
  "POSTERN_APP_TOKEN",
  "POSTERN_CONTAINER_ID",
  "POSTERN_BOX",
  "POSTERN_REGION",
  "POSTERN_APP",
  "POSTERN_ENVIRONMENT",
  "POSTERN_VERSION",
  PARAMETERS_VARIABLE,
  "POSTERN_DATA",
  "CUDA_VISIBLE_DEVICES",
]);

/** POSIX.1-2024, 8.1, and lower-case letters, which programs use too. */
export const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Of one secret: names and values in UTF-8. */
export const MAX_SECRET_BYTES = 64 * 1024;

/** Of one secret. */
export const MAX_SECRET_VARIABLES = 100;

/** The size of a secret with these variables, in bytes. */
export function secretBytes(variables: Readonly<Record<string, string>>): number {
  const encoder = new TextEncoder();
  let bytes = 0;
  for (const [name, value] of Object.entries(variables)) {
    bytes += encoder.encode(name).length + encoder.encode(value).length;
  }
  return bytes;
}
