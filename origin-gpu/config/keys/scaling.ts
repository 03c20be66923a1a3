/** The keys that say how many containers an endpoint has, and when one is in use. */
import * as z from "zod";
import { SCALING_DEFAULTS, SCALING_VALUES } from "../../../routing/wire/scaling.ts";
import { boolean, either, integer, list, oneOf, path, table } from "../values.ts";
import { key, MOST_CONCURRENT_INPUTS } from "./key.ts";

export const SCALING_KEYS = {
  target_inputs: key(integer(1, MOST_CONCURRENT_INPUTS), {
    default: "`max_inputs`",
    meaning:
      "Requests a container that the number of containers is chosen for. A burst fills each container up to `max_inputs` until more of them are ready.",
    example: "4",
  }),
  min_containers: key(SCALING_VALUES.min_containers, {
    default: `\`${SCALING_DEFAULTS.min_containers}\``,
    meaning:
      "Containers that run even when there are no requests, over all boxes of a deployed app.",
    example: "1",
  }),
  max_containers: key(SCALING_VALUES.max_containers, {
    default: `\`${SCALING_DEFAULTS.max_containers}\``,
    meaning:
      "Containers that run at most, over all boxes of a deployed app. Requests beyond what they take wait.",
    example: "4",
  }),
  buffer_containers: key(SCALING_VALUES.buffer_containers, {
    default: `\`${SCALING_DEFAULTS.buffer_containers}\``,
    meaning:
      "Containers that run beside those that the requests need, as long as there are requests: the next burst finds them ready. They count over all boxes of a deployed app.",
    example: "1",
  }),
  scaledown_window: key(SCALING_VALUES.scaledown_window, {
    default: `\`${SCALING_DEFAULTS.scaledown_window}\``,
    meaning: "Time without a request after which a container that is not needed stops.",
    example: "300",
  }),
  keeps_awake: key(
    either(
      [
        z.boolean(),
        table({
          paths: list(path(), 'must be a list of paths, such as ["/queue/status"]').optional(),
          websockets: boolean().optional(),
        }),
      ],
      'must be true, false or { paths = ["/queue/status"], websockets = false }',
    ),
    {
      default: "`true`",
      meaning:
        "Which requests count as use of a container. `true`: each of them, and each WebSocket. `false`: no WebSocket. In a table, requests to these `paths` do not count, nor do WebSockets with `websockets = false`: what an open browser tab does. A `*` at a path's end stands for the rest. Such requests are served, and take a place of `max_inputs`; a container that has no others stops after `scaledown_window`.",
      example: '{ paths = ["/queue/*"], websockets = false }',
    },
  ),
  rollout: key(oneOf(["auto", "overlap", "replace"]), {
    default: '`"auto"`',
    meaning:
      'The start of a new version while the old one serves. `"overlap"`: it starts beside the old one. `"replace"`: the old one finishes its requests and stops first, and starts again if the new one fails. `"auto"`: they overlap where GPUs and `port` leave room for both.',
    example: '"replace"',
  }),
};
