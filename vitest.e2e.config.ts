import { defineConfig } from "vitest/config";

/** Real gateway, real agent, real servers. One file at a time: they measure and they share two cores. */
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 240_000,
    globalSetup: ["test/e2e/setup.ts"],
  },
});
