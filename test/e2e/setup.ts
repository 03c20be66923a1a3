/** Once before all end-to-end tests: the Python environment, so that no test's time includes pip's. */
import { ensureVenv } from "../support/venv.ts";

export async function setup(): Promise<void> {
  await ensureVenv();
}
