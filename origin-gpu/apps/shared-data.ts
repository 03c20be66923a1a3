/**
 * Where containers of Python apps keep what outlives them: dictionaries, queues and volumes of the package `postern`. One
 * directory for each environment of a workspace, on this box alone. It is the containers', and never removed here.
 */
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { AppUser } from "../app-user.ts";
import type { EndpointConfig } from "../config/app-config.ts";

/** The directory of an environment, whose name is a folder's as it stands. */
export function dataDirectory(root: string, environment: string): string {
  return join(root, `env-${environment}`);
}

export class SharedData {
  readonly #root: string;
  readonly #user: AppUser | undefined;

  /** @param directory of the state directory, which the user of apps can't enter: his are in his own */
  constructor(directory: string, user: AppUser | undefined) {
    this.#root = user === undefined ? directory : join(user.directory, "data");
    this.#user = user;
  }

  /** Makes the directory, and tells the containers of a function of it. */
  variables(environment: string, { kind }: EndpointConfig): Record<string, string> {
    if (kind.type !== "python_function") return {};
    const path = dataDirectory(this.#root, environment);
    mkdirSync(this.#root, { recursive: true, mode: 0o711 });
    mkdirSync(path, { recursive: true });
    if (this.#user !== undefined) chownSync(path, this.#user.uid, this.#user.gid);
    chmodSync(path, 0o700);
    return { POSTERN_DATA: path };
  }
}
