/** The keys that say where an app may be deployed. */
import { listOf, name, text } from "../values.ts";
import { available } from "./key.ts";

export const PLACEMENT_KEYS = {
  boxes: available(
    listOf(
      text(/^[A-Za-z0-9._*?-]{1,64}$/, "must be a box's name, * and ? stand for others"),
      'must be a list of box names, such as ["gpu-*"]',
    ),
    {
      default: "the deploying box, or any box",
      meaning:
        'For `postern deploy`: a list of box names in which `*` and `?` stand for others, e.g. `["gpu-*"]`. `up` and `serve` run the app where they are.',
      example: '["gpu-*"]',
    },
  ),
  region: available(listOf(name(), 'must be a list of regions, such as ["eu"]'), {
    default: "any",
    meaning: 'Likewise, e.g. `["eu"]`: a broad name stands for the narrower ones.',
    example: '["eu"]',
  }),
};
