/**
 * Whether the box of a link is enrolled still. A revocation is told to the objects that there are. One that is younger asks
 * the workspace, once.
 */
import type { Env } from "../../contracts/env.ts";
import { reportError } from "../../contracts/observer.ts";
import { boxOfLink, workspaceStub } from "../../contracts/stubs.ts";

export class EnrolmentQuestion {
  readonly #env: Env;
  readonly #link: string | undefined;
  #answer: Promise<boolean> | undefined;

  /** @param link the name of the link's object, where it has one */
  constructor(env: Env, link: string | undefined) {
    this.#env = env;
    this.#link = link;
  }

  /** @returns false where the box is not enrolled; true also where the workspace could not be asked, and is asked again */
  async isEnrolled(): Promise<boolean> {
    this.#answer ??= this.#ask();
    return await this.#answer;
  }

  async #ask(): Promise<boolean> {
    if (this.#link === undefined) return true;
    const { workspace, box } = boxOfLink(this.#link);
    try {
      return await workspaceStub(this.#env, workspace).hasBox(box);
    } catch (error) {
      reportError(this.#env, `asking for ${box}`, error);
      this.#answer = undefined;
      return true;
    }
  }
}
