/**
 * The shapes in which gateway and agents speak of deployed apps: the content of a version, the versions that a box
 * is to run, and how far it has come. An agent asks for its assignments and reports its state, both whole each
 * time, so that the next exchange puts right what either end missed (docs/protocol.md, "Deployed apps").
 */
import * as z from "zod";
import { MIB } from "../../base/units.ts";
import { ENDPOINT_SETTINGS } from "./messages.ts";
import { SCALING } from "./scaling.ts";

/** The largest packed snapshot. */
export const MAX_CODE_BYTES = 256 * MIB;

/** Of a version's `config` as JSON text. */
export const MAX_VERSION_CONFIG_BYTES = 128 * 1024;

/** Of one version in a report: the last lines of a container that failed. */
export const MAX_REPORTED_LINES = 20;
export const MAX_REPORTED_LINE_CHARACTERS = 500;

const MAX_REPORTED = 10_000;

/** SHA-256 of a snapshot before it is compressed, in hex: the same files have the same hash everywhere. */
export const CODE_HASH = z.string().regex(/^[0-9a-f]{64}$/);

/** A snapshot of a directory. */
const CODE_REFERENCE = z.object({
  hash: CODE_HASH,
  /** Bytes of the packed snapshot. */
  bytes: z.number(),
});

/** An endpoint as the gateway must know it: how it is called, and what the edge does for it. */
const VERSION_ENDPOINT = z.object({
  function: z.string(),
  label: z.string().exactOptional(),
  /** The function whose containers serve it: its own name, or what `containers_of` says. */
  pool: z.string(),
  settings: ENDPOINT_SETTINGS,
  /** Names of the secrets that its containers are given. Later ones win. */
  secrets: z.array(z.string()),
  /** Where its containers may run, as routing/placement.ts reads it; absent: anywhere. */
  boxes: z.array(z.string()).exactOptional(),
  region: z.array(z.string()).exactOptional(),
  /** Seconds until its containers must be ready. */
  startupTimeout: z.number().exactOptional(),
});

/** The content of an app's version. It never changes, and holds no secret. */
const VERSION_CONTENT = z.object({
  /**
   * The app as its postern.toml says it, a TOML document as JSON, with what the deploying machine alone knew
   * filled in. The agent reads it by the rules that read the file; the gateway stores it as it is.
   */
  config: z.record(z.string(), z.unknown()),
  /** The directory that the app runs in; null where the app needs none of it. */
  code: CODE_REFERENCE.nullable(),
  /** In the configuration's order. */
  endpoints: z.array(VERSION_ENDPOINT),
});

/** Secret to its variables. For the memory of the agent and its containers' environments alone. */
export const SECRET_VALUES = z.record(z.string(), z.record(z.string(), z.string()));

const ASSIGNED_VERSION = z.object({
  version: z.number(),
  content: VERSION_CONTENT,
  /** Function to URL, all endpoints of the app. */
  urls: z.record(z.string(), z.string()),
  /** Those that the endpoints name. */
  secrets: SECRET_VALUES,
  /** The pools that other boxes may run too: their numbers of containers are shared. */
  sharedPools: z.array(z.string()).exactOptional(),
  /** By function: settings that `postern app scale` has changed since the version was deployed. */
  scaling: z.record(z.string(), SCALING).exactOptional(),
});

const ASSIGNED_APP = z.object({
  /** Tells an app from a later one of the same name. */
  id: z.string(),
  environment: z.string(),
  app: z.string(),
  /** Opens the app's own private endpoints (POSTERN_APP_TOKEN). */
  token: z.string(),
  /** Takes requests; absent until a first version has started. */
  serving: ASSIGNED_VERSION.exactOptional(),
  /** Is started beside the serving one, and takes no requests before it is the serving one. */
  candidate: ASSIGNED_VERSION.exactOptional(),
});

/** Everything that a box is to run now. An app that is not listed stops. */
export const ASSIGNMENTS = z.object({ apps: z.array(ASSIGNED_APP) });

/**
 * How far a version is on a box: getting its code, making its Python environment, starting containers; `ready`
 * to take requests, `serving` them, or `failed`, for which `detail` says why.
 */
export const VERSION_STATES = [
  "fetching",
  "preparing",
  "starting",
  "ready",
  "serving",
  "failed",
] as const;

const VERSION_REPORT = z.object({
  /** The app's id. */
  app: z.string().max(64),
  version: z.int().min(1),
  state: z.enum(VERSION_STATES),
  /** One line; empty where there is nothing to say. */
  detail: z.string().max(MAX_REPORTED_LINE_CHARACTERS),
  /** The last lines of the failed container, oldest first. */
  lines: z.array(z.string().max(MAX_REPORTED_LINE_CHARACTERS)).max(MAX_REPORTED_LINES),
});

/** All that a box has. A newer agent may say more; the gateway ignores it. */
export const BOX_REPORT = z.object({
  versions: z.array(VERSION_REPORT).max(MAX_REPORTED),
  /** The code that is whole on the box's disk. */
  code: z.array(CODE_HASH).max(MAX_REPORTED),
});

/** A page of them must fit the initial window. */
const MAX_LISTED_ENDPOINTS = 100;

/** `<environment>/<app>/<function>`. */
const ENDPOINT_ID = z.string().max(512);

const COUNT = z.int().min(0);

/** Counts of an endpoint's containers and requests, in the version that serves and the one that is prepared. */
const ENDPOINT_ACTIVITY = z.object({
  endpoint: ENDPOINT_ID,
  /** Containers. One that was stopped counts nowhere. */
  ready: COUNT,
  starting: COUNT,
  failed: COUNT,
  /** Those that have given their GPUs back. An older agent does not count them. */
  asleep: COUNT.default(0),
  /** Those that finish their calls or are being ended; as `asleep`. */
  draining: COUNT.default(0),
  /** Those that have outlived SIGKILL. An older agent counts them as `draining`. */
  stuck: COUNT.default(0),
  /** Requests that wait for their turn or for a container. */
  waiting: COUNT,
  /** Why a container failed, or that one is stuck, in one line; empty where neither is so. */
  error: z.string().max(MAX_REPORTED_LINE_CHARACTERS),
});

export const ENDPOINT_PAGE_REQUEST = z.object({
  limit: z.int().min(1).max(MAX_LISTED_ENDPOINTS),
  /** The last one of the page before. */
  after: ENDPOINT_ID.exactOptional(),
});

/** By name. */
export const ENDPOINT_PAGE = z.object({
  endpoints: z.array(ENDPOINT_ACTIVITY).max(MAX_LISTED_ENDPOINTS),
  hasMore: z.boolean(),
});

export type EndpointActivity = z.output<typeof ENDPOINT_ACTIVITY>;
export type VersionContent = z.output<typeof VERSION_CONTENT>;
export type CodeReference = z.output<typeof CODE_REFERENCE>;
export type VersionEndpoint = z.output<typeof VERSION_ENDPOINT>;
export type Assignments = z.output<typeof ASSIGNMENTS>;
export type AssignedApp = z.output<typeof ASSIGNED_APP>;
export type AssignedVersion = z.output<typeof ASSIGNED_VERSION>;
export type BoxReport = z.output<typeof BOX_REPORT>;
export type VersionReport = z.output<typeof VERSION_REPORT>;
export type VersionState = (typeof VERSION_STATES)[number];
