/** `/boxes/{box}/…/log`. Logs: the lines that containers print, as lines of JSON. */
import * as z from "zod";
import {
  LOG_HEARTBEAT_MS,
  LOG_LINE,
  LOG_STREAM,
  MAX_TAIL_LINES,
} from "../routing/wire/container-logs.ts";
import { ENVIRONMENT_QUERY } from "./apps.ts";
import { apiOperation } from "./operation.ts";
import { digits, OBJECT_NAME } from "./schemas.ts";

const TAG = "logs";

const READING = {
  since: z.iso
    .datetime({ precision: 3 })
    .optional()
    .meta({ description: "No lines before this time, which has three decimals" }),
  tail: z
    .preprocess(digits, z.int().min(0).max(MAX_TAIL_LINES))
    .optional()
    .meta({ description: "The last lines alone" }),
  follow: z
    .enum(["true", "false"])
    .default("false")
    .meta({
      description: `Go on with lines as they come; an empty line each ${LOG_HEARTBEAT_MS / 1_000} s where there is none`,
    }),
};

const LINE = {
  name: "LogLine",
  schema: LOG_LINE.extend({
    container: z.string().meta({ description: "Empty for a line about the reading itself" }),
    number: z.int().meta({ description: "Counts the container's lines: a gap is a loss" }),
    time: z.string().meta({ description: "As RFC 3339 spells it, in UTC" }),
    stream: LOG_STREAM.meta({ description: "`postern` for what Postern says of the container" }),
  }),
};

/** A line of a log as the API gives it. */
export type ApiLogLine = z.output<typeof LINE.schema>;

export const READ_CONTAINER_LOG = apiOperation({
  id: "readContainerLog",
  method: "get",
  path: "/boxes/{box}/containers/{container}/log",
  tag: TAG,
  summary: "Read what a container printed; one that is followed, until it has ended",
  needs: "read",
  query: z.strictObject({
    environment: OBJECT_NAME.optional().meta({
      description: "A container of another one is not found",
    }),
    ...READING,
  }),
  lines: LINE,
});

export const READ_APP_LOG = apiOperation({
  id: "readAppLog",
  method: "get",
  path: "/boxes/{box}/apps/{app}/log",
  tag: TAG,
  summary: "Read what the containers of an app printed on a box, in the order of the lines' times",
  description: "Containers that have ended are among them, as long as the box keeps their lines.",
  needs: "read",
  query: ENVIRONMENT_QUERY.extend({
    function: z.string().max(256).optional().meta({ description: "Of this one alone" }),
    ...READING,
  }),
  lines: LINE,
});
