/** The Python environments of an endpoint's containers that are made before they claim anything of their box. */
import type { EndpointConfig } from "../config/app-config.ts";
import { isPythonKind } from "../config/python-kinds.ts";
import type { UsedPython, UsePython } from "../containers/container.ts";

export class PreparedPythons {
  readonly #settings: EndpointConfig;
  readonly #use: UsePython;
  readonly #log: (line: string) => void;
  /** By container, until it is launched or given up. */
  readonly #held = new Map<number, Promise<UsedPython>>();

  /** @param log what is printed while one is made */
  constructor(settings: EndpointConfig, use: UsePython, log: (line: string) => void) {
    this.#settings = settings;
    this.#use = use;
    this.#log = log;
  }

  /** Makes a container's environment; undefined where it has none to make. Rejects with a `StartFailure`. */
  prepare(container: number): Promise<void> | undefined {
    const { kind, requirements } = this.#settings;
    if (!isPythonKind(kind) || requirements === undefined) return undefined;
    const python = this.#use(this.#settings, this.#log);
    this.#held.set(container, python);
    return python.then(() => undefined);
  }

  /** How the container that is launched finds its interpreter, and lets go of it. */
  take(container: number): UsePython {
    const python = this.#held.get(container);
    this.#held.delete(container);
    return python === undefined ? this.#use : async () => await python;
  }

  /** The container is not launched any more. */
  forget(container: number): void {
    const unused = this.#held.get(container);
    this.#held.delete(container);
    unused?.then(
      (python) => python.release(),
      () => undefined,
    );
  }
}
