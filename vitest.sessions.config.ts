import { defineConfig, mergeConfig } from "vitest/config";

import e2e from "./vitest.e2e.config.ts";

/** Sessions of software that is large to install: Streamlit, JupyterLab, Ray Serve. */
export default mergeConfig(
  { ...e2e, test: { ...e2e.test, include: [], exclude: [] } },
  defineConfig({
    test: {
      include: ["test/e2e/sessions/**/*.test.ts"],
      // Each keeps two cores busy by itself.
      maxWorkers: 1,
      // Twenty pages at once have two cores for minutes.
      testTimeout: 600_000,
      // The first run makes Python environments.
      hookTimeout: 600_000,
    },
  }),
);
