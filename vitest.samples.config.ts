import { defineConfig, mergeConfig } from "vitest/config";

import e2e from "./vitest.e2e.config.ts";

/** Apps in the form of Modal's samples: their environments are large to install, Gradio's and FastMCP's above all. */
export default mergeConfig(
  { ...e2e, test: { ...e2e.test, include: [], exclude: [] } },
  defineConfig({
    test: {
      include: ["test/e2e/samples/**/*.test.ts"],
      // One gateway's environments serve all of them.
      maxWorkers: 1,
      // The first run installs packages.
      testTimeout: 300_000,
    },
  }),
);
