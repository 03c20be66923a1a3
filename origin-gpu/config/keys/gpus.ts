/** The keys that say what a container needs of the box's GPUs, and how it lets go of it. */
import { either, integer, list, text } from "../values.ts";
import { key } from "./key.ts";
import { requests } from "./request-list.ts";

/** A kind of GPU, or "any", and how many of it: 1 to 64. */
export const GPU_CHOICE = /^([A-Za-z0-9._-]+)(?::([1-9]|[1-5]\d|6[0-4]))?$/;

const gpuChoice = () =>
  text(GPU_CHOICE, 'must be a kind of GPU and how many of it, such as "H100:2"');

/** The units of `gpu_memory`, in bytes. GB and MB are refused: cards are sold by both meanings of them. */
export const MEMORY_UNITS = { MiB: 2 ** 20, GiB: 2 ** 30 } as const;
export const GPU_MEMORY = /^((?:0\.\d*[1-9]|[1-9]\d{0,5}(?:\.\d{1,3})?)) ?(MiB|GiB)$/;

export const GPU_KEYS = {
  gpus: key(
    either(
      [
        integer(0, 64),
        gpuChoice(),
        list(
          gpuChoice(),
          'must be a list of kinds in order of preference, such as ["H100:2", "any:4"]',
        ),
      ],
      'must be a number from 0 to 64, "any", a kind and how many of it, such as "H100:2" or "any:2", or a list of these in order of preference',
    ),
    {
      default: "`0`",
      meaning:
        'Whole GPUs that each container has to itself: a number of any kind, a kind and its number, or a list of which the first choice that the box can give is taken. `"any:2"` is `2`, also as a choice of a list. The process finds them by `CUDA_VISIBLE_DEVICES`. Endpoints that do not fit together take turns.',
      example: '["H100", "A100:2"]',
    },
  ),
  gpu_memory: key(text(GPU_MEMORY, 'must be an amount of memory, such as "20GiB"'), {
    default: "none",
    meaning:
      "Memory of one GPU that each container needs, instead of whole GPUs: several containers share a GPU as long as their sum fits. Postern counts this number, and does not enforce it.",
    example: '"20GiB"',
  }),
  sleep: key(requests('[{ post = "/sleep?level=1" }]'), {
    default: "none",
    meaning:
      "Requests that make the server let go of its GPU memory. An idle container gets them, one after the other, when another endpoint needs the GPU; without them it is stopped.",
    example: '[{ post = "/sleep?level=1" }]',
  }),
  wake: key(requests('[{ post = "/wake_up" }]'), {
    default: "none",
    meaning:
      "Requests that undo `sleep`, one after the other, before the container is given calls again.",
    example:
      '[{ post = "/wake_up?tags=weights" }, { post = "/collective_rpc", body = { method = "reload_weights" } }, { post = "/wake_up?tags=kv_cache" }]',
  }),
};
