/** How calls pass between Worker and objects in this run of the end-to-end tests (vitest.e2e.config.ts). */

/** All of them by requests: `npm run test:e2e:requests`. */
export const ARE_ALL_REQUESTS = process.env["E2E_WAY"] === "requests";
