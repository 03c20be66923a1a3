/** The keys that say where an app may be deployed. */
import { list, name, text } from "../values.ts";
import { key } from "./key.ts";

export const PLACEMENT_KEYS = {
  boxes: key(
    list(
      text(/^[A-Za-z0-9._*?-]{1,64}$/, "must be a box's name, * and ? stand for others"),
      'must be a list of box names, such as ["gpu-*"]',
    ),
    {
      default: "the deploying box, or any box",
      meaning:
        "The boxes that `postern deploy` may give the app to; `*` and `?` stand for other characters. `up` and `serve` run the app where they are.",
      example: '["gpu-*"]',
    },
  ),
  region: key(list(name(), 'must be a list of regions, such as ["eu"]'), {
    default: "any",
    meaning:
      "The regions whose boxes `postern deploy` may give the app to. A broad name stands for the narrower ones.",
    example: '["eu"]',
  }),
};
