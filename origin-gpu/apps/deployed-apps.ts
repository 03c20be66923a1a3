/**
 * The deployed apps of this box as one service: their code on the disk, their assignments, and the operations
 * on both that the gateway asks of the agent.
 */
import { join } from "node:path";
import type { Observer } from "../../base/observer.ts";
import { within } from "../../base/runtime/within.ts";
import type { AppUser } from "../app-user.ts";
import { type CodeOperation, codeOperations } from "../code/code-operations.ts";
import { CodeStore } from "../code/code-store.ts";
import type { LeftContainers } from "../containers/left-containers.ts";
import type { UsePython } from "../containers/container.ts";
import type { GatewayClient } from "../link/gateway-client.ts";
import { type OperationHandlers, replyNothing } from "../link/operation-server.ts";
import { AppReconcilers } from "./app-reconcilers.ts";
import type { AppName, AppRuntimes } from "./app-runtimes.ts";
import { CodeHistory } from "./code-history.ts";
import { GatewayAssignments } from "./assignment-source.ts";
import { laterByTimer } from "./coalesced-task.ts";
import type { LoopbackUrls } from "./loopback-urls.ts";
import type { PoolLeases } from "./pool-leases.ts";
import { VersionLoader } from "./version-loader.ts";

/** After this time the agent dials the gateway without its apps: their code may have to be fetched. */
const FIRST_ASSIGNMENTS_MS = 5_000;

/** The files of deployed apps on the disk. One agent alone uses them. */
export interface DeploymentFiles {
  readonly code: CodeStore;
  readonly history: CodeHistory;
  readonly emptyDirectory: string;
}

export type DeploymentOperation = CodeOperation | "refreshAssignments" | "refreshShares";

export interface DeployedAppsOptions {
  readonly files: DeploymentFiles;
  readonly apps: AppRuntimes;
  readonly leases: PoolLeases;
  readonly gateway: GatewayClient;
  readonly usePython: UsePython;
  readonly box: string;
  readonly region: string;
  readonly loopbackUrls: LoopbackUrls;
  readonly isAnnounced: (name: AppName) => boolean;
  readonly left: LeftContainers | undefined;
  readonly observer: Observer;
}

/**
 * @param directory the agent's state directory
 * @param inUse directories of containers that the last agent left running
 */
export async function openDeploymentFiles(
  directory: string,
  user: AppUser | undefined,
  inUse: readonly string[],
  notice: (line: string) => void,
): Promise<DeploymentFiles> {
  return {
    code: await CodeStore.open({ directory: join(directory, "code"), user, inUse, notice }),
    history: await CodeHistory.open(join(directory, "code-history.json"), notice),
    emptyDirectory: join(user?.directory ?? directory, "no-code"),
  };
}

export class DeployedApps {
  readonly operations: OperationHandlers<DeploymentOperation>;
  readonly #assigned: AppReconcilers;
  readonly #leases: PoolLeases;

  constructor(options: DeployedAppsOptions) {
    const { files, gateway, usePython, box, region, loopbackUrls, leases, observer, ...apps } =
      options;
    this.#leases = leases;
    const { code, history, emptyDirectory } = files;
    const controlPlane = new GatewayAssignments(gateway);
    const loader = new VersionLoader({
      code,
      controlPlane,
      usePython,
      emptyDirectory,
      box,
      region,
      loopbackUrls,
      observer,
    });
    this.#assigned = new AppReconcilers({
      ...apps,
      controlPlane,
      load: async (...version) => await loader.load(...version),
      code,
      history,
      later: laterByTimer,
      observer,
    });
    this.operations = {
      ...codeOperations(code, observer.notice),
      refreshAssignments: (_, { stream }) => {
        this.#assigned.refresh();
        return replyNothing(stream);
      },
      refreshShares: (_, { stream }) => {
        leases.refresh();
        return replyNothing(stream);
      },
    };
  }

  /**
   * Asks what to run before the agent dials the gateway, so that no request comes before its app. Resolves when
   * the apps have been started, or after `FIRST_ASSIGNMENTS_MS`.
   * @param signal ends the wait
   */
  async begin(signal?: AbortSignal): Promise<void> {
    this.#assigned.refresh();
    await within(FIRST_ASSIGNMENTS_MS, this.#assigned.begun(), { ...(signal && { signal }) });
  }

  /** The gateway is there again: either side may have missed something. */
  welcomed(): void {
    this.#assigned.refresh();
    this.#leases.refresh();
  }

  /** Takes no more assignments. Its pools keep their shares. */
  hold(): void {
    this.#assigned.close();
  }

  /** As `hold`, and asks for no more shares. Containers that run are ended by `AppRuntimes.close`, or left by `leave`. */
  close(): void {
    this.hold();
    this.#leases.close();
  }
}
