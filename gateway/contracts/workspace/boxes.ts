/** A workspace's boxes: enrolment, links, and the code that they hold. Times are milliseconds of the epoch. */
import type { Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { BoxReport } from "../../../routing/wire/deployments.ts";
import type { PoolLease, PoolUses } from "../../../routing/wire/pool-leases.ts";
import type { EndpointAnnouncement, Welcome } from "../../../routing/wire/messages.ts";
import type { BoxPlace } from "../names.ts";
import type { Page, PageRequest } from "./pages.ts";

/** A box as people see it. Times are milliseconds of the epoch. */
export interface BoxInfo {
  readonly name: string;
  /** Empty: none was given. */
  readonly region: string;
  /** Enrolled for as long as it is connected. */
  readonly ephemeral: boolean;
  readonly createdAt: number;
  readonly createdBy: string;
  /** The agent's version when it connected last; empty before. */
  readonly agent: string;
  /** How many links it keeps. */
  readonly links: number;
  /** Since when it has been connected; null while it is not. */
  readonly connectedAt: number | null;
  /** When it was last known to be connected; null if never. */
  readonly lastSeenAt: number | null;
}

export interface NewBox {
  readonly name: string;
  readonly region: string;
  readonly ephemeral: boolean;
}

/** An enrolment as it is shown once. */
export interface Enrolment {
  readonly box: BoxInfo;
  readonly serial: string;
  readonly key: string;
}

/** One link of a box, as its `Origin` object knows it. */
export interface BoxLink {
  readonly box: string;
  readonly link: number;
  /** The agent process behind it. */
  readonly incarnation: string;
}

/** An agent's words on itself when a link comes up. */
export interface LinkGreeting extends BoxLink {
  readonly serial: string;
  readonly agent: string;
  readonly links: number;
}

/** The first words of a link. */
export interface Greeting extends LinkGreeting {
  /** Link 0 alone: everything that the box serves without a deployment. */
  readonly endpoints: readonly EndpointAnnouncement[] | undefined;
}

/** Which request of which agent process it is. An older agent does not say all of it. */
export interface RequestSender {
  readonly incarnation: string | undefined;
  /** Counts up with each request of the process. */
  readonly number: number | undefined;
}

/** Code, by its hash; or the files of a deployed app that a box serves, which the app's other boxes may have. */
export type HeldByBoxes =
  | { readonly code: string }
  | { readonly environment: string; readonly app: string; readonly beside: string };

export interface BoxMethods {
  enrolBox(chosen: NewBox, by: string): Promise<Result<Enrolment, Refusal>>;
  listBoxes(page: PageRequest): Promise<Page<BoxInfo>>;
  box(name: string): Promise<BoxInfo | undefined>;
  revokeBox(name: string): Promise<boolean>;
  /** Whether this is a box's present enrolment. */
  isEnrolled(box: string, serial: string): boolean;
  /** Whether a box of this name is enrolled; not where it was revoked. */
  hasBox(box: string): boolean;
  /**
   * A link of a box came up. Answers what it announced, in order; undefined when the box is not enrolled
   * any more.
   */
  greet(greeting: Greeting): Promise<Welcome["endpoints"] | undefined>;
  /**
   * Answers a greeting from what was noted before, and notes nothing: for a workspace that could not write. Names that
   * the box does not have yet are refused.
   */
  recall(greeting: Greeting): Promise<Welcome["endpoints"] | undefined>;
  /** A link of a box went. @param isGoodbye its agent has ended, and said so */
  linkLost(link: BoxLink, isGoodbye: boolean): void;
  /** The boxes that have this, connected ones first. */
  holdersOf(held: HeldByBoxes): BoxPlace[];
  /** A box has taken this code: another one may ask for it before the box has reported it. */
  codeTaken(box: string, hash: string): void;
  /** Everything that a box is to run, as the JSON that its agent gets. */
  assignments(box: string): Promise<string>;
  /** Takes note of everything that a box has, where that is its latest word. */
  report(box: string, report: BoxReport, sender: RequestSender): void;
  /**
   * A box's shares of the pools that others run too.
   * @returns undefined for a second agent while another one of the box is connected, and for a request that comes
   * behind a later one
   */
  poolShares(box: string, uses: PoolUses, sender: RequestSender): PoolLease | undefined;
}
