/**
 * What gateway and agents tell each other about deployed apps: what a version consists of, which versions
 * a box is to run, and how far it has come. An agent asks for its assignments and reports its state, both
 * whole each time: whatever either side missed, the next exchange puts right (docs/protocol.md).
 */
import type { EndpointSettings } from "./messages.ts";

/** What a version of an app is made of; it never changes. Holds no secret. */
export interface VersionContent {
  /**
   * The app as its postern.toml says it, a TOML document as JSON, with what the deploying machine alone
   * knew filled in. The agent reads it by the rules that read the file; the gateway only keeps it.
   */
  config: Record<string, unknown>;
  /** The directory that the app runs in; null where the app needs none of it. */
  code: CodeReference | null;
  /** In the configuration's order. */
  endpoints: VersionEndpoint[];
}

/** A snapshot of a directory. */
export interface CodeReference {
  /** SHA-256 of the snapshot before it is compressed, in hex: the same files make the same hash everywhere. */
  hash: string;
  /** Bytes of the packed snapshot. */
  bytes: number;
}

/** What the gateway must know of an endpoint: how it is called, and what the edge does for it. */
export interface VersionEndpoint {
  function: string;
  label?: string;
  /** The function whose containers serve it: its own name, or what `containers_of` says. */
  pool: string;
  settings: EndpointSettings;
  /** Names of the secrets that its containers are given; later ones win. */
  secrets: string[];
  /** Where its containers may run, as routing/placement.ts reads it; absent: anywhere. */
  boxes?: string[];
  region?: string[];
  /** Seconds until its containers must be ready. */
  startupTimeout?: number;
}

/** `GET /_postern/assignments`: everything that a box is to run now. An app that is not listed stops. */
export interface Assignments {
  apps: AssignedApp[];
}

export interface AssignedApp {
  /** Tells an app from a later one of the same name. */
  id: string;
  environment: string;
  app: string;
  /** What opens the app's own private endpoints (POSTERN_APP_TOKEN). */
  token: string;
  /** Takes requests; absent until a first version has started. */
  serving?: AssignedVersion;
  /** Is to be started beside the serving one, and takes no requests before it is the serving one. */
  candidate?: AssignedVersion;
}

export interface AssignedVersion {
  version: number;
  content: VersionContent;
  /** Function to URL, all endpoints of the app. */
  urls: Record<string, string>;
  /** Secret to its variables: those that the endpoints name. For the memory of the agent alone. */
  secrets: Record<string, Record<string, string>>;
}

/** `POST /_postern/report`: what a box has, after each change and after each welcome of its link 0. */
export interface BoxReport {
  versions: VersionReport[];
  /** Hashes of the code that is whole on the box's disk. */
  code: string[];
}

/**
 * How far a version is on a box: getting its code, making its Python environment, starting containers;
 * `ready` to take requests, `serving` them, or `failed`, for which `detail` says why.
 */
export const VERSION_STATES = [
  "fetching",
  "preparing",
  "starting",
  "ready",
  "serving",
  "failed",
] as const;

export type VersionState = (typeof VERSION_STATES)[number];

export interface VersionReport {
  /** The app's id. */
  app: string;
  version: number;
  state: VersionState;
  /** One line; empty where there is nothing to say. */
  detail: string;
  /** What the failed container printed last, oldest first; at most 20 lines of 500 characters. */
  lines: string[];
}

/** The largest packed snapshot. */
export const MAX_CODE_BYTES = 256 * 1024 * 1024;

/** Of a version's `config` as JSON text. */
export const MAX_VERSION_CONFIG_BYTES = 128 * 1024;
