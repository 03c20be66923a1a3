import { defineConfig } from "vitest/config";

import { COMPILED_CODE } from "./test/support/compiled-code.ts";

/** Calls between Worker and objects go by memory, as in each self-hosted gateway, or all by requests. */
const byRequests = process.env["E2E_WAY"] === "requests";
const preload = new URL("test/support/by-requests.ts", import.meta.url).href;

/** Real gateway, real agent, real servers. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    // They have configurations of their own (vitest.clients.config.ts, vitest.samples.config.ts, vitest.sessions.config.ts).
    exclude: ["test/e2e/clients/**", "test/e2e/samples/**", "test/e2e/sessions/**"],
    // A file has processes, directories and ports of its own, and waits for most of its time. Two cores carry three.
    maxWorkers: 3,
    env: { ...COMPILED_CODE, ...(byRequests && { NODE_OPTIONS: `--import=${preload}` }) },
    testTimeout: 120_000,
    // A busy machine needs more than the second that Vitest gives.
    expect: { poll: { timeout: 15_000 } },
    hookTimeout: 240_000,
    globalSetup: ["test/e2e/setup.ts"],
  },
});
