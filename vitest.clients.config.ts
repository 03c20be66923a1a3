import { defineConfig, mergeConfig } from "vitest/config";

import e2e from "./vitest.e2e.config.ts";

/** Clients whose calls wait for long, by the clock: SDKs of MCP, OpenAI and Anthropic; and MCP's conformance suite. */
export default mergeConfig(
  { ...e2e, test: { ...e2e.test, include: [], exclude: [] } },
  defineConfig({
    test: {
      include: ["test/e2e/clients/**/*.test.ts"],
      maxWorkers: 1,
      // All of them wait, and for the same start.
      maxConcurrency: 20,
      testTimeout: 240_000,
      // The first run installs the SDKs.
      hookTimeout: 600_000,
    },
  }),
);
