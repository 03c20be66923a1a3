/** The form in which an agent notes a container that it leaves running, for the next agent. */
import { z } from "zod";

/** A process, told from later ones with its number. */
export const PROCESS_IDENTITY = z.object({ pid: z.int().positive(), started: z.string().min(1) });

const DESCRIPTOR = z.int().nonnegative();

export const LEFT_RECORD = z.object({
  /**
   * Of the lines that supervisors and launchers of ASGI apps exchange with an agent. A record of another format is not
   * taken over: the format changes when a newer agent could not speak to them any more.
   */
  format: z.literal(1),
  /** The supervisor's inner process, and its descriptors. */
  inner: PROCESS_IDENTITY,
  descriptors: z.object({
    commands: DESCRIPTOR,
    reports: DESCRIPTOR,
    out: DESCRIPTOR,
    err: DESCRIPTOR,
    channel: z.object({ to: DESCRIPTOR, from: DESCRIPTOR }).optional(),
  }),
  /** `<environment>/<app>/<function>` */
  endpoint: z.string(),
  version: z.int().positive(),
  /** The values of its function's parameters, where it has some. */
  parameters: z.string().exactOptional(),
  directory: z.string(),
  /** Empty for the agent's own. */
  user: z.string(),
  /** Seals, by left-variables.ts. */
  variables: z.record(z.string(), z.string()),
  port: z.int().positive(),
  origin: z.string(),
  /** Of `hasCallsPort`. */
  callsPort: z.int().positive().exactOptional(),
  startedAtMs: z.number(),
  /** By sealed-sessions.ts. Without them its sessions are new ones. */
  sessions: z.string().optional().catch(undefined),
  /** How it is asked to end, and how many seconds it has then. */
  stopSignal: z.string(),
  exitGracePeriod: z.number().nonnegative(),
  /** Its share of the box. */
  claim: z.object({
    cards: z.array(z.object({ id: z.string(), name: z.string(), memoryBytes: z.number() })),
    gpuMemoryBytes: z.number().exactOptional(),
    port: z.int().exactOptional(),
  }),
});

export type LeftRecord = z.output<typeof LEFT_RECORD>;

/** Tells which pool's container it is, and what it has of the box. */
export type LeavableContainer = Pick<LeftRecord, "endpoint" | "version" | "parameters" | "claim">;
