/**
 * Apps that a box serves without a deployment and announces when it connects. An in-place app (`postern up`)
 * has plain names for as long as its box is enrolled. An ephemeral app (`postern serve`) has dev names that a
 * newer one may take, and ends soon after its box has left.
 *
 * A box announces all such apps at once. The workspace gives back the names that the box had and does not
 * announce any more.
 */
import { err, ok, type Err, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import { endpointName } from "../../../routing/names.ts";
import type { EndpointAnnouncement, Welcome } from "../../../routing/wire/messages.ts";
import type { Snapshot } from "../../contracts/names.ts";
import type { App } from "./app-records.ts";
import { claimantOf, type Control, heldRefusal, namesOfEndpoint, urlOf } from "./control.ts";
import { MAX_APPS, namesakeRefusal } from "./staging.ts";

type Answer = Welcome["endpoints"][number];

export interface Announcement {
  readonly box: string;
  /** The agent process. */
  readonly incarnation: string;
  readonly links: number;
  readonly endpoints: readonly EndpointAnnouncement[];
}

/** An ephemeral app goes this long after its box's last link, unless that comes back. */
const AWAY_MS = 60_000;

/** An object that was started anew asks after so long whether the boxes of ephemeral apps are still there. */
const LOOK_AFTER_MS = 60_000;

interface Wanted {
  readonly announcement: EndpointAnnouncement;
  readonly name: string;
}

export class Announcements {
  readonly #control: Control;
  readonly #tokenOf: (app: App) => Promise<string>;
  /** The one that is being worked on: a box's later word must come later. */
  #last: Promise<unknown> = Promise.resolve();
  #lookAt: number | undefined;

  /** @param tokenOf what opens an app's own private endpoints */
  constructor(control: Control, tokenOf: (app: App) => Promise<string>, startedAt: number) {
    this.#control = control;
    this.#tokenOf = tokenOf;
    this.#lookAt = startedAt + LOOK_AFTER_MS;
  }

  /** Takes note of what a box serves; the answers stand in the announced order. */
  async announce(announcement: Announcement): Promise<Answer[]> {
    const before = this.#last;
    const answers = (async () => {
      await before.catch(() => undefined);
      return await this.#announce(announcement);
    })();
    this.#last = answers;
    return await answers;
  }

  /** Answers an announcement from what has been noted. Reads alone. */
  async recall({ box, incarnation, endpoints }: Announcement): Promise<Answer[]> {
    const { apps, names } = this.#control;
    return await Promise.all(
      endpoints.map(async (announcement) => {
        const named = await this.#named(announcement);
        if (!named.ok) return refusedAnswer(named);
        const { environment, app: appName, devSuffix = "" } = announcement;
        const app = apps.findAnnounced({ environment, name: appName, box, incarnation, devSuffix });
        const { name } = named.value;
        if (app !== undefined && names.namesOf(app.id).includes(name)) {
          return { url: urlOf(this.#control, name), appToken: await this.#tokenOf(app) };
        }
        const detail = "the gateway cannot note a new name now: its log says why";
        return refusedAnswer(err({ code: "unavailable", detail }));
      }),
    );
  }

  /** The last link of a box went. @param isGoodbye its agent has ended, and said so */
  boxLost(box: string, isGoodbye: boolean, now: number): void {
    const { apps, changed } = this.#control;
    apps.expireEphemeral(box, isGoodbye ? now : now + AWAY_MS);
    if (isGoodbye) this.#dropExpired(now);
    changed();
  }

  /** A box is not the workspace's any more. */
  boxRevoked(box: string): void {
    this.#drop(this.#control.apps.ofBox(box));
  }

  /** Ends ephemeral apps whose box has been away for long enough. */
  async lookAfter(now: number): Promise<void> {
    const { apps, isConnected } = this.#control;
    this.#dropExpired(now);
    if (this.#lookAt === undefined || this.#lookAt > now) return;
    this.#lookAt = undefined;
    // A gateway that was killed could not tell of the links that went with it.
    for (const box of apps.ephemeralBoxes()) {
      if (!(await isConnected(box))) apps.expireEphemeral(box, now + AWAY_MS);
    }
  }

  nextDue(): number | undefined {
    const { apps } = this.#control;
    const expiry = apps.nextExpiry();
    if (this.#lookAt === undefined || apps.ephemeralBoxes().length === 0) return expiry;
    return Math.min(this.#lookAt, expiry ?? Number.POSITIVE_INFINITY);
  }

  async #announce(announced: Announcement): Promise<Answer[]> {
    const { apps, names, storage } = this.#control;
    const named = refuseNamesakes(
      await Promise.all(
        announced.endpoints.map(async (announcement) => await this.#named(announcement)),
      ),
    );
    const appOf = new Map<string, Result<App, Refusal>>();
    const now = Date.now();
    const { gone } = storage.transactionSync(() => {
      for (const entry of named) {
        if (!entry.ok) continue;
        const { announcement } = entry.value;
        const key = appKey(announcement);
        if (!appOf.has(key)) appOf.set(key, this.#app(announced, announcement, now));
      }
      const here = new Set([...appOf.values()].map((app) => (app.ok ? app.value.id : "")));
      return { gone: apps.ofBox(announced.box).filter(({ id }) => !here.has(id)) };
    });
    this.#drop(gone);
    this.#giveUpUnlisted(named, appOf);
    // Messages that are on their way to `Names` must not arrive after the claims.
    await names.settle();
    return await Promise.all(
      named.map(async (entry) => {
        if (!entry.ok) return refusedAnswer(entry);
        const app = appOf.get(appKey(entry.value.announcement)) as Result<App, Refusal>;
        return app.ok ? await this.#claim(announced, app.value, entry.value) : refusedAnswer(app);
      }),
    );
  }

  async #named(announcement: EndpointAnnouncement): Promise<Result<Wanted, Refusal>> {
    const { workspace, suffixOf } = this.#control;
    const { environment } = announcement;
    if (announcement.workspace !== workspace) {
      const detail = `this box belongs to workspace ${workspace}, not to ${announcement.workspace}`;
      return err({ code: "forbidden", detail });
    }
    const suffix = suffixOf(environment);
    if (suffix === undefined) {
      return err({ code: "not_found", detail: `there is no environment ${environment}` });
    }
    if (announcement.devSuffix !== undefined && announcement.settings.customDomains !== undefined) {
      const detail = "custom_domains: an app of postern serve has none; deploy it";
      return err({ code: "bad_request", detail });
    }
    const name = await endpointName({ ...announcement, suffix });
    if (!name.ok) return err({ code: "bad_request", detail: name.error });
    return ok({ announcement, name: name.value });
  }

  #app(
    { box, incarnation }: Announcement,
    { environment, app: name, devSuffix = "" }: EndpointAnnouncement,
    now: number,
  ): Result<App, Refusal> {
    const { apps } = this.#control;
    if (apps.count(environment) >= MAX_APPS) {
      const known = apps.ofBox(box).some((app) => app.name === name);
      const detail = `environment ${environment} has its ${MAX_APPS} apps; stop one first`;
      if (!known) return err({ code: "conflict", detail });
    }
    return ok(apps.announced({ environment, name, box, incarnation, devSuffix }, now));
  }

  #giveUpUnlisted(
    named: readonly Result<Wanted, Refusal>[],
    appOf: ReadonlyMap<string, Result<App, Refusal>>,
  ): void {
    const { names } = this.#control;
    const listed = new Set(
      named.flatMap((entry) => {
        if (!entry.ok) return [];
        const { name, announcement } = entry.value;
        return namesOfEndpoint(this.#control, { name, ...announcement.settings });
      }),
    );
    for (const app of appOf.values()) {
      if (!app.ok) continue;
      for (const name of names.namesOf(app.value.id)) {
        if (!listed.has(name)) names.giveUp(app.value.id, name, "release");
      }
    }
  }

  async #claim(
    { box, links }: Announcement,
    app: App,
    { announcement, name }: Wanted,
  ): Promise<Answer> {
    const { workspace, names, registry } = this.#control;
    const { endpoint, settings } = announcement;
    const snapshot: Snapshot = {
      workspace,
      environment: app.environment,
      app: app.name,
      appId: app.id,
      boxes: [{ box, links }],
      endpoint,
      settings,
    };
    const wanted = namesOfEndpoint(this.#control, { name, ...settings });
    for (const [index, one] of wanted.entries()) {
      // Noted before it is claimed: a crash in between leaves a note too many, never a name too many.
      names.noteServed(app.id, one, snapshot);
      const held = await registry.commit(one, claimantOf(this.#control, app), snapshot);
      if (held === undefined) continue;
      names.forget(app.id, one);
      for (const had of wanted.slice(0, index)) names.giveUp(app.id, had, "release");
      this.#control.changed();
      return refusedAnswer(heldRefusal(this.#control, one, held));
    }
    return { url: urlOf(this.#control, name), appToken: await this.#tokenOf(app) };
  }

  #dropExpired(now: number): void {
    this.#drop(this.#control.apps.expired(now));
  }

  #drop(gone: readonly App[]): void {
    const { storage, apps, names, changed } = this.#control;
    if (gone.length === 0) return;
    storage.transactionSync(() => {
      for (const { id } of gone) {
        names.giveUpAll(id, "release");
        apps.delete(id);
      }
    });
    changed();
  }
}

/** Of two endpoints of one app that would have the same name, the later one gets none. */
function refuseNamesakes(entries: readonly Result<Wanted, Refusal>[]): Result<Wanted, Refusal>[] {
  const taken = new Map<string, string>();
  return entries.map((entry) => {
    if (!entry.ok) return entry;
    const { announcement, name } = entry.value;
    const key = `${appKey(announcement)}/${name}`;
    const other = taken.get(key);
    taken.set(key, other ?? announcement.function);
    return other === undefined ? entry : namesakeRefusal(other, announcement.function, name);
  });
}

/** Endpoints of one app. */
function appKey({ environment, app, devSuffix = "" }: EndpointAnnouncement): string {
  return `${environment}/${app}/${devSuffix}`;
}

/** A refusal as the link's welcome spells it. */
function refusedAnswer({ error: { code, detail } }: Err<Refusal>): Answer {
  return { refused: code, detail };
}
