/**
 * The settings that an app of a known kind needs. `app_kind` names a row; a key that stands in the file wins over the
 * row's. The rows have the file's own keys. A `deny` list closes what an owner does at the box, and no caller should.
 */

/** Keys that a kind of app may set. */
export interface Preset {
  readonly health_path?: string;
  readonly host_header?: string;
  readonly affinity?: string;
  readonly max_inputs: number;
  readonly api?: "openai";
  readonly paths?: { readonly deny: readonly string[] };
}

/** As many as a page with its requests and WebSockets needs from some people at once. */
const PAGES = 100;

/** A server that batches by itself is given more than it runs at once. */
const BATCHED = 256;

export const PRESETS = {
  // It batches OLLAMA_NUM_PARALLEL requests and queues the others by itself.
  ollama: {
    health_path: "/api/version",
    host_header: "local",
    affinity: "llm",
    max_inputs: 64,
    paths: {
      deny: ["/api/create", "/api/copy", "/api/delete", "/api/pull", "/api/push", "/api/blobs"],
    },
  },
  // Its page finds the results of a queue on one server alone.
  comfyui: { health_path: "/system_stats", affinity: "cookie", max_inputs: PAGES },
  vllm: {
    health_path: "/health",
    affinity: "llm",
    max_inputs: BATCHED,
    api: "openai",
    // Of its development mode, which sleeping needs; of its profiler; of its adapters.
    paths: {
      deny: [
        "/sleep",
        "/wake_up",
        "/is_sleeping",
        "/collective_rpc",
        "/reset_prefix_cache",
        "/reset_mm_cache",
        "/server_info",
        "/pause",
        "/resume",
        "/update_weights*",
        "/start_profile",
        "/stop_profile",
        "/scale_elastic_ep",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/metrics",
      ],
    },
  },
  sglang: {
    health_path: "/health",
    affinity: "llm",
    max_inputs: BATCHED,
    api: "openai",
    paths: {
      deny: [
        "/flush_cache",
        "/update_weights*",
        "/init_weights_update_group",
        "/get_weights_by_name",
        "/release_memory_occupation",
        "/resume_memory_occupation",
        "/pause_generation",
        "/continue_generation",
        "/abort_request",
        "/set_internal_state",
        "/configure_logging",
        "/start_profile",
        "/stop_profile",
        "/load_lora_adapter",
        "/unload_lora_adapter",
        "/metrics",
      ],
    },
  },
  mcp: { host_header: "local", affinity: "mcp", max_inputs: PAGES },
  jupyter: {
    health_path: "/api",
    host_header: "local",
    affinity: "jupyter",
    max_inputs: PAGES,
  },
  gradio: { affinity: "gradio", max_inputs: PAGES },
  streamlit: { health_path: "/_stcore/health", affinity: "streamlit", max_inputs: PAGES },
} as const satisfies Readonly<Record<string, Preset>>;

type Kind = keyof typeof PRESETS;

export const APP_KINDS = Object.keys(PRESETS) as [Kind, ...Kind[]];
