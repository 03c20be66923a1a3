/** Endpoints whose server has a GPU that is a directory (test/support/apps/gpu-server.ts). */
import { join } from "node:path";
import type { TomlTable } from "smol-toml";
import { APPS, type EndpointTable } from "./harness.ts";

/** A model in an endpoint of its own. @param cards the directory of the GPUs */
export function gpuModel(name: string, cards: string, more: TomlTable = {}): EndpointTable {
  const { env = {}, ...settings } = more;
  return {
    function: name,
    web_server: ["node", join(APPS, "gpu-server.ts")],
    env: { CARDS: cards, NAME: name, ...(env as TomlTable) },
    max_inputs: 4,
    ...settings,
  };
}
