/** The schemas of what a version consists of, as `postern deploy` sends it. */
import * as z from "zod";
import { DAY_S } from "../base/units.ts";
import { AFFINITY_TABLE, CORS_TABLE, ENDPOINT_SETTINGS } from "../routing/wire/messages.ts";
import { isRate, RATE_DOCUMENT_PATTERN } from "../routing/wire/rate.ts";
import { AUTH_TABLE } from "../routing/wire/auth-settings.ts";
import { PATH_RULES } from "../routing/wire/path-rules.ts";
import { MAX_CODE_BYTES, MAX_VERSION_CONFIG_BYTES } from "../routing/wire/deployments.ts";
import { OBJECT_NAME } from "./schemas.ts";

/** Of one app. */
const MAX_ENDPOINTS = 100;
const MAX_PATTERNS = 100;
const MAX_SECRETS = 100;

/** As agents announce them, but that a member which nobody knows is refused: it is a mistake, not a newer agent's. */
const SETTINGS = z.strictObject({
  ...ENDPOINT_SETTINGS.shape,
  cors: z.union([z.boolean(), z.strictObject(CORS_TABLE.shape)]).exactOptional(),
  affinity: z.strictObject(AFFINITY_TABLE.shape).exactOptional(),
  rateLimit: z
    .string()
    .max(16)
    .refine(isRate, 'must be a rate, such as "50/5"')
    .meta({ pattern: RATE_DOCUMENT_PATTERN })
    .exactOptional(),
  auth: z
    .strictObject({
      jwt: z.strictObject(AUTH_TABLE.shape.jwt.unwrap().shape).exactOptional(),
      oidc: z.strictObject(AUTH_TABLE.shape.oidc.unwrap().shape).exactOptional(),
    })
    .exactOptional(),
  paths: z.strictObject(PATH_RULES.shape).exactOptional(),
});

const FUNCTION = z
  .string()
  .max(128)
  .regex(/^[!-~]*[A-Za-z0-9][!-~]*$/, "must be printable ASCII with a letter or a digit in it");

const VERSION_ENDPOINT = z.strictObject({
  function: FUNCTION,
  label: z
    .string()
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      "must be a-z, 0-9 and, inside, dashes; at most 63",
    )
    .optional(),
  pool: FUNCTION.meta({
    description: "The function whose containers serve it: itself, or another of the app",
  }),
  settings: SETTINGS,
  secrets: z.array(OBJECT_NAME).max(MAX_SECRETS),
  boxes: z
    .array(z.string().regex(/^[A-Za-z0-9._*?-]{1,64}$/, "must be a box's name, with * and ?"))
    .min(1)
    .max(MAX_PATTERNS)
    .optional()
    .meta({ description: "Boxes that its containers may run on; `*` and `?` as in file names" }),
  region: z
    .array(z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "must be a region's name"))
    .min(1)
    .max(MAX_PATTERNS)
    .optional()
    .meta({ description: "Regions of those boxes; `eu` has `eu-west-1`" }),
  startupTimeout: z.number().positive().max(DAY_S).optional(),
});

export const VERSION_CONTENT = z.strictObject({
  config: z
    .record(z.string(), z.unknown())
    .refine(
      (config) => byteLength(JSON.stringify(config)) <= MAX_VERSION_CONFIG_BYTES,
      `must be at most ${MAX_VERSION_CONFIG_BYTES} bytes of JSON`,
    )
    .meta({ description: "The app's postern.toml as JSON" }),
  code: z
    .strictObject({
      hash: z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in 64 hex digits"),
      bytes: z.int().min(1).max(MAX_CODE_BYTES),
    })
    .nullable(),
  endpoints: z.array(VERSION_ENDPOINT).min(1).max(MAX_ENDPOINTS),
});

/** A tag or a commit. The pattern is spelt for every dialect of regular expressions. */
export const LINE = z
  .string()
  .refine(
    (text) => /^[^\p{Cc}\p{Cs}]{0,64}$/u.test(text),
    "must be at most 64 characters on one line",
  )
  .meta({ pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", maxLength: 64 });

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
