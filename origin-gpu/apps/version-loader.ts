/**
 * Gets ready what an assigned version needs on this box: its code, from a box that has it, unpacked for
 * it alone; its configuration, by the rules that read a postern.toml; its Python environments.
 */
import { mkdir } from "node:fs/promises";
import type { Observer } from "../../base/observer.ts";
import type {
  AssignedApp as Assignment,
  AssignedVersion,
  VersionState,
} from "../../routing/wire/deployments.ts";
import { PRIVATE_DIRECTORY_MODE } from "../calls/store/files.ts";
import type { CodeStore } from "../code/code-store.ts";
import { isPythonKind } from "../config/python-kinds.ts";
import { type AppConfig, formatProblems, parseConfigDocument } from "../config/config.ts";
import {
  StartFailure,
  type UsedPython,
  type UsePython,
  noticesOf,
} from "../containers/container.ts";
import type { LoadedVersion } from "./app-reconciler.ts";
import type { AssignmentSource } from "./assignment-source.ts";
import type { LoopbackUrls } from "./loopback-urls.ts";
import { withSecrets } from "./secrets.ts";

export interface VersionLoaderOptions {
  readonly code: Pick<CodeStore, "fetch" | "directoryOf">;
  readonly controlPlane: Pick<AssignmentSource, "code">;
  readonly usePython: UsePython;
  /** Where versions without code run; made where it is missing. */
  readonly emptyDirectory: string;
  readonly box: string;
  readonly region: string;
  readonly loopbackUrls: Pick<LoopbackUrls, "reachable">;
  readonly observer: Observer;
}

export class VersionLoader {
  readonly #options: VersionLoaderOptions;

  constructor(options: VersionLoaderOptions) {
    this.#options = options;
  }

  /** @throws Error with one line, or {StartFailure} */
  async load(
    assignment: Assignment,
    assigned: AssignedVersion,
    onState: (state: VersionState) => void,
  ): Promise<LoadedVersion> {
    const { id, app, environment, token } = assignment;
    const { version, content, urls, secrets, sharedPools = [], scaling = {} } = assigned;
    const directory = await this.#directory(assignment, assigned);
    const config = configOf(content.config, directory, `${app} v${version}`);
    const reachableUrls = await this.#options.loopbackUrls.reachable(urls);
    onState("preparing");
    const pythons = await this.#pythons(config);
    return {
      description: {
        app,
        environment,
        version,
        token,
        urls,
        reachableUrls,
        box: this.#options.box,
        region: this.#options.region,
        logName: `${app} v${version} `,
        endpoints: config.endpoints.map((endpoint) => withSecrets(endpoint, secrets)),
        shared: { app: id, pools: new Set(sharedPools) },
        scaling,
      },
      release: () => {
        for (const python of pythons) python.release();
      },
    };
  }

  async #directory(
    { id }: Assignment,
    { version, content: { code } }: AssignedVersion,
  ): Promise<string> {
    const { code: store, controlPlane, emptyDirectory } = this.#options;
    if (code === null) {
      await mkdir(emptyDirectory, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
      return emptyDirectory;
    }
    await store.fetch(code.hash, async (hash) => await controlPlane.code(hash));
    return await store.directoryOf(code.hash, ownerOf(id, version));
  }

  /** Made here, before the clock of startup_timeout runs; held until the containers hold them. */
  async #pythons({ endpoints }: AppConfig): Promise<UsedPython[]> {
    const { usePython, observer } = this.#options;
    const inPython = endpoints.filter(({ kind }) => isPythonKind(kind));
    const made = await Promise.allSettled(
      inPython.map(
        async (endpoint) =>
          await usePython(endpoint, noticesOf({ observer, source: endpoint.function })),
      ),
    );
    const failed = made.find((result) => result.status === "rejected");
    const pythons = made.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    if (failed === undefined) return pythons;
    for (const python of pythons) python.release();
    throw failed.reason as Error;
  }
}

/** Whose copy of the code it is. */
export function ownerOf(appId: string, version: number): string {
  return `${appId}-v${version}`;
}

function configOf(document: Record<string, unknown>, directory: string, name: string): AppConfig {
  const parsed = parseConfigDocument(document, directory, name);
  if (parsed.ok) return parsed.config;
  const lines = formatProblems(parsed.problems).split("\n");
  const message =
    "this box's agent refuses the configuration: update Postern there, or deploy again";
  throw new StartFailure("starting_failed", message, lines);
}
