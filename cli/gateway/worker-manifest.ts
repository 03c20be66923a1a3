/**
 * Reads the Worker's entry point, compatibility date and flags, and Durable Object classes from wrangler.toml. Cloudflare
 * and a self-hosted gateway have this one source, so they can't drift apart.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { z } from "zod";

/** The root of this package, with wrangler.toml and the Worker's sources. */
export const PACKAGE_ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface WorkerManifest {
  /** Relative to the package's root. */
  readonly main: string;
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly objects: readonly DurableObjectClass[];
}

export interface DurableObjectClass {
  /** The variable under which the Worker finds the namespace. */
  readonly binding: string;
  readonly className: string;
}

const WRANGLER = z.object({
  main: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()).default([]),
  durable_objects: z.object({
    bindings: z.array(z.object({ name: z.string(), class_name: z.string() })),
  }),
});

export function readWorkerManifest(root: string = PACKAGE_ROOT): WorkerManifest {
  const wrangler = WRANGLER.parse(parse(readFileSync(`${root}/wrangler.toml`, "utf8")));
  return {
    main: wrangler.main,
    compatibilityDate: wrangler.compatibility_date,
    compatibilityFlags: wrangler.compatibility_flags,
    objects: wrangler.durable_objects.bindings.map((object) => ({
      binding: object.name,
      className: object.class_name,
    })),
  };
}
