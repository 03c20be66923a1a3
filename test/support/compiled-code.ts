/**
 * Where each Node of a test run finds what an earlier one compiled of the same sources. The tests start thousands of
 * commands and agents; without it compiling takes half of their processor time.
 */
import { fileURLToPath } from "node:url";

/** Variables for vitest's workers, from which all that a test starts inherits them. */
export const COMPILED_CODE = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL("../../.test/compiled-code", import.meta.url)),
};

/** This process's environment without them: for a copy of the repository, which begins as a newcomer's does. */
export function newcomersVariables(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_COMPILE_CACHE: undefined };
}
