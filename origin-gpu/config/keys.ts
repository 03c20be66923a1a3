/**
 * Every key of postern.toml as one table. Any other one is refused, never ignored. Work that adds a key gives it a row
 * in its section and a field in app-config.ts.
 */
import type * as z from "zod";
import { APP_KEYS } from "./keys/app.ts";
import { GPU_KEYS } from "./keys/gpus.ts";
import type { Key } from "./keys/key.ts";
import { KIND_KEYS_TABLE } from "./keys/kinds.ts";
import { ENDPOINT_NAME_KEYS } from "./keys/naming.ts";
import { PLACEMENT_KEYS } from "./keys/placement.ts";
import { PROCESS_KEYS } from "./keys/process.ts";
import { REQUEST_KEYS } from "./keys/requests.ts";
import { SCALING_KEYS } from "./keys/scaling.ts";

export { APP_KEYS };

export const ENDPOINT_KEYS = {
  ...ENDPOINT_NAME_KEYS,
  ...KIND_KEYS_TABLE,
  ...PLACEMENT_KEYS,
  ...PROCESS_KEYS,
  ...SCALING_KEYS,
  ...GPU_KEYS,
  ...REQUEST_KEYS,
};

/** Exactly one of these says what serves the endpoint. */
export const KIND_KEYS = Object.keys(KIND_KEYS_TABLE) as (keyof typeof KIND_KEYS_TABLE)[];

type Values<Keys extends Record<string, Key>> = {
  readonly [Name in keyof Keys]?: z.output<Keys[Name]["schema"]>;
};

/** The keys of an `[[endpoint]]` that stand there and have the right type. */
export type EndpointTable = Values<typeof ENDPOINT_KEYS>;
/** The keys before the first `[[endpoint]]`, likewise. */
export type AppTable = Values<typeof APP_KEYS>;
export type KeyTable = Readonly<Record<string, Key>>;
