/**
 * The box of a session, where several serve its endpoint. A request whose cookie or whose key is known asks nobody. Only
 * the first one of a session in this isolate asks the boxes, and a session that none of them has is placed on the least
 * loaded one. Two first requests at once agree: in one isolate by its memory, else by a claim at the key's home.
 */
import type { AffinityClaims } from "../../../auth/affinity-cookie.ts";
import { within } from "../../../base/runtime/within.ts";
import { holdOf } from "../../../routing/affinity/session-key.ts";
import { homeBox } from "../../../routing/boxes.ts";
import { shareOf } from "../../../routing/wire/stream-shares.ts";
import type { BoxPlace } from "../../contracts/names.ts";
import { askAgent } from "../proxy/agent-client.ts";
import { leastLoaded, type Unplaced } from "../proxy/candidates.ts";
import { sightingOf } from "../proxy/sightings.ts";
import type { EndpointOrigin } from "./endpoint-origin.ts";
import { entryOf } from "./entry.ts";
import { SessionMemory } from "./session-memory.ts";

/** A box that takes longer to tell whether it has a session is taken to have none. */
const ASK_MS = 1_000;

const memory = new SessionMemory();

/** How the boxes of a call are ordered for its session. */
export type SessionOrder = Pick<Unplaced, "preferred" | "mayLeavePreferred" | "beginsSession">;

const NO_CHOICE: SessionOrder = {};

const NEW_SESSION = { beginsSession: true } as const satisfies SessionOrder;

/** Where a session was found. */
interface SessionSighting {
  readonly box: string;
  /** It is not where it was looked for. */
  readonly isElsewhere: boolean;
}

/** The key of a cookie's session. */
export function cookieKey(claims: AffinityClaims | undefined): string | undefined {
  return claims === undefined ? undefined : `cookie=${claims.id}`;
}

/** The search for the session of one request. */
export class SessionSearch {
  readonly #origin: EndpointOrigin;
  readonly #request: Request;
  readonly #keys: readonly string[];
  readonly #claims: AffinityClaims | undefined;
  /** The keys that belong to the session's place. */
  readonly #placed: readonly string[];
  /** The endpoint's name in the isolate's memory. */
  readonly #endpoint: string;

  /** @param claims of the cookie that came with the request */
  constructor(
    origin: EndpointOrigin,
    request: Request,
    keys: readonly string[],
    claims: AffinityClaims | undefined,
  ) {
    this.#origin = origin;
    this.#request = request;
    this.#keys = keys;
    this.#claims = claims;
    const { workspace, appId, endpoint } = origin.snapshot;
    this.#placed = this.#hasChoice ? placedKeys(keys) : [];
    this.#endpoint = `${workspace}\n${appId}\n${endpoint}`;
  }

  get #hasChoice(): boolean {
    return this.#origin.snapshot.boxes.length > 1;
  }

  /** The order of the boxes. */
  async order(): Promise<SessionOrder> {
    if (!this.#hasChoice) return NO_CHOICE;
    const known = this.#knownBox(this.#keys, this.#claims);
    if (known !== undefined) return { preferred: known };
    const { env, snapshot } = this.#origin;
    if (this.#placed.length === 0) return adviceOf(this.#keys, snapshot.boxes) ?? NEW_SESSION;
    const found = await askedBox(this.#origin, this.#keys);
    if (found !== undefined) {
      memory.remember(this.#endpoint, this.#placed, found);
      return { preferred: found };
    }
    // Another request of the session may have been placed meanwhile.
    const beside = this.#knownBox(this.#placed, undefined);
    if (beside !== undefined) return { preferred: beside };
    const chosen = leastLoaded(env, unplaced(this.#origin, this.#request));
    if (chosen === undefined) return NEW_SESSION;
    // In one isolate this memory is the agreement. Elsewhere another isolate may have claimed the session first.
    const isAlone = env.POSTERN_ONE_ISOLATE === "1";
    const agreed = isAlone ? chosen : await claimedBox(this.#origin, this.#placed, chosen);
    memory.remember(this.#endpoint, this.#placed, agreed);
    return { ...NEW_SESSION, preferred: agreed };
  }

  /**
   * Remembers where the session is. A key that is known elsewhere stays there, as at the agent, unless the session itself
   * is elsewhere now.
   */
  remember({ box, isElsewhere }: SessionSighting): void {
    const isNew = (key: string): boolean =>
      isElsewhere ||
      (key !== cookieKey(this.#claims) && memory.boxOf(this.#endpoint, key) === undefined);
    memory.remember(this.#endpoint, this.#placed.filter(isNew), box);
  }

  /** The box of the first key whose box is known, and not away. */
  #knownBox(keys: readonly string[], claims: AffinityClaims | undefined): string | undefined {
    const { env, snapshot } = this.#origin;
    const { workspace, boxes } = snapshot;
    const isThere = (name: string | undefined): name is string =>
      name !== undefined &&
      boxes.some(({ box }) => box === name) &&
      !sightingOf(env, workspace, name).isAway;
    const ofCookie = cookieKey(claims);
    for (const key of keys) {
      const remembered = memory.boxOf(this.#endpoint, key);
      if (isThere(remembered)) return remembered;
      if (key === ofCookie && isThere(claims?.box)) return claims.box;
    }
    return undefined;
  }
}

/** A cache is as good in any box, and best in one that all isolates agree on. */
function adviceOf(keys: readonly string[], boxes: readonly BoxPlace[]): SessionOrder | undefined {
  const [advice] = keys;
  if (advice === undefined) return undefined;
  return { preferred: homeBox(advice, boxes)?.box, mayLeavePreferred: true };
}

/** The box that says that it has the session; one that has its container before one that has a file of it. */
async function askedBox(
  { env, snapshot }: EndpointOrigin,
  keys: readonly string[],
): Promise<string | undefined> {
  const { workspace, endpoint, boxes } = snapshot;
  const questions = [
    keys.filter((key) => holdOf(key) === "container"),
    keys.filter((key) => holdOf(key) === "box"),
  ].filter((asked) => asked.length > 0);
  const asks = questions.flatMap((asked) =>
    boxes
      .filter(({ box }) => !sightingOf(env, workspace, box).isAway)
      .map(async (box) => {
        const question = askAgent(env, { workspace, box }, "findSession", {
          endpoint,
          keys: asked,
        });
        const answer = await within(ASK_MS, question);
        return answer?.ok === true && answer.value.found ? box.box : undefined;
      }),
  );
  return (await Promise.all(asks)).find((box) => box !== undefined);
}

/** The box of the first claim of the session, at its key's home; the own choice where the home is silent. */
async function claimedBox(
  { env, snapshot }: EndpointOrigin,
  keys: readonly string[],
  box: string,
): Promise<string> {
  const { workspace, endpoint, boxes } = snapshot;
  const home = homeBox(keys[0] ?? "", boxes);
  if (home === undefined) return box;
  const claim = askAgent(env, { workspace, box: home }, "claimSession", {
    endpoint,
    keys: [...keys],
    box,
  });
  const answer = await within(ASK_MS, claim);
  const isOne = answer?.ok === true && boxes.some((place) => place.box === answer.value.box);
  return isOne ? answer.value.box : box;
}

function unplaced({ env, snapshot }: EndpointOrigin, request: Request): Unplaced {
  const { workspace, boxes, endpoint } = snapshot;
  const entry = entryOf(env, request, boxes);
  return { callId: "", workspace, boxes, share: shareOf(endpoint), entry, beginsSession: true };
}

/** The keys that belong to the session's place. A file that it names may be on another box. */
function placedKeys(keys: readonly string[]): string[] {
  const firm = keys.filter((key) => holdOf(key) === "container");
  return firm.length > 0 ? firm : keys.filter((key) => holdOf(key) === "box");
}
