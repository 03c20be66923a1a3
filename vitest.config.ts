import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

import { COMPILED_CODE } from "./test/support/compiled-code.ts";

/**
 * Two projects: `node` for everything that runs in Node (pure rooms, agent, CLI), `workerd` for what
 * runs inside the real workerd. End-to-end tests have their own configuration (vitest.e2e.config.ts).
 */
export default defineConfig({
  test: {
    // Many files wait for processes and timers, so that two cores carry two; Vitest's own number would be one.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/gateway/**", "test/e2e/**"],
          env: COMPILED_CODE,
          testTimeout: 60_000,
          // A busy machine needs more than the second that Vitest gives.
          expect: { poll: { timeout: 10_000 } },
        },
      },
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                POSTERN_KEY: "dGVzdC1rZXktdGVzdC1rZXktdGVzdC1rZXktdGVzdC0",
              },
            },
          }),
        ],
        test: {
          name: "workerd",
          include: ["test/gateway/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
    ],
  },
});
