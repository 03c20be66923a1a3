/** A container that a test starts, with all that it has printed. It is stopped with the test. */
import { onTestFinished } from "vitest";

import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import type { Container, ContainerOptions } from "../../../origin-gpu/containers/container.ts";
import type { ExitInfo } from "../../../origin-gpu/containers/exit-info.ts";
import { startContainer } from "../../../origin-gpu/containers/start-container.ts";
import { listening, plainPython } from "./endpoint.ts";

export class Started {
  readonly lines: string[] = [];
  /** Reasons why it may not become ready. */
  readonly doubts: string[] = [];
  readonly unexpected = Promise.withResolvers<ExitInfo>();
  readonly container: Container;
  readonly #waiting = new Set<() => void>();

  constructor(
    endpoint: EndpointConfig,
    environment: Record<string, string> = {},
    beginLog?: ContainerOptions["beginLog"],
  ) {
    this.container = startContainer({
      endpoint,
      environment,
      usePython: plainPython,
      beginLog,
      ...listening((line) => {
        this.lines.push(line);
        for (const check of this.#waiting) check();
      }),
      onDoubt: (reason) => this.doubts.push(reason),
      onUnexpectedExit: this.unexpected.resolve,
    });
  }

  /** The number in a line such as `child pid 17`, once it has been printed. */
  async pid(whose: string): Promise<number> {
    return await new Promise((resolve) => {
      const check = () => {
        const line = this.lines.find((text) => text.startsWith(`${whose} pid `));
        if (line === undefined) return;
        this.#waiting.delete(check);
        resolve(Number(line.split(" ").at(-1)));
      };
      this.#waiting.add(check);
      check();
    });
  }

  async environment(): Promise<Record<string, string>> {
    const { origin } = await this.container.ready;
    return (await (await fetch(origin)).json()) as Record<string, string>;
  }
}

export function start(...how: ConstructorParameters<typeof Started>): Started {
  const one = new Started(...how);
  onTestFinished(async () => await one.container.stop());
  return one;
}
