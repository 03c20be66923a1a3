/**
 * Settings that are right by themselves and impossible together. Each row has the key to blame, the condition under
 * which it is wrong, and a message that says what would be right.
 */
import { OF_NO_PROCESS, SCALING_COMBINATIONS } from "../../routing/wire/scaling.ts";
import { type EndpointTable, KIND_KEYS } from "./keys.ts";
import { HELD_REQUESTS, isComfyUi, isGradio, needsSeveralInputs } from "./held-requests.ts";
import { maxInputsOf } from "./max-inputs.ts";
import { isNeverTold } from "./told-port.ts";

/** The keys that stand there, those with a mistake of their own included. */
type GivenKeys = { readonly [Name in keyof EndpointTable]?: unknown };

interface Combination {
  readonly key: keyof EndpointTable;
  /** Keys by whose values it is judged: where one of them has a mistake of its own, it can't be. */
  readonly by?: readonly (keyof EndpointTable)[];
  readonly wrong: (endpoint: EndpointTable, given: GivenKeys) => boolean;
  readonly message: string | ((endpoint: EndpointTable) => string);
}

const isPython = ({ asgi, wsgi, callable, python_function: target }: GivenKeys) =>
  [asgi, wsgi, callable, target].some((key) => key !== undefined);

/** Whether the agent starts no process for the endpoint, so that settings of processes have no meaning. */
const isUnmanaged = (_: EndpointTable, given: GivenKeys) => given.upstream !== undefined;

const isGuest = (_: EndpointTable, given: GivenKeys) => given.containers_of !== undefined;

const needsGpu = ({ gpus = 0, gpu_memory: memory }: GivenKeys) =>
  gpus !== 0 || memory !== undefined;

/** Settings of a process that the agent starts, and of how many of them there are. */
const PROCESS_KEYS = [
  "python",
  "requirements",
  "directory",
  "env",
  "secrets",
  "gpus",
  "gpu_memory",
  "sleep",
  "wake",
  "warmup",
  "health_interval",
  "stop_signal",
  "stop_command",
  "exit_grace_period",
  "parameters",
  "target_inputs",
  "min_containers",
  "max_containers",
  "buffer_containers",
  "scaledown_window",
  "keeps_awake",
  "probe_paths",
  "rollout",
] as const satisfies readonly (keyof EndpointTable)[];

/** Settings of containers, or of the queue before them: those of one pool are said once. */
export const POOL_KEYS = [
  ...PROCESS_KEYS,
  "port",
  "method",
  "docs",
  "boxes",
  "region",
  "max_inputs",
  "max_pending",
  "max_pending_async",
  "stall_timeout",
  "startup_timeout",
  "health_path",
  "host_header",
  "app_kind",
  "batch",
  "affinity",
  "affinity_mode",
] as const satisfies readonly (keyof EndpointTable)[];

/** Keys that have no meaning for an endpoint's kind. */
export const OF_KINDS: readonly Combination[] = [
  // First: of two problems of one key the first is shown.
  ...POOL_KEYS.map((key) => ({
    key,
    wrong: isGuest,
    message: "belongs to the function that containers_of names; set it there",
  })),
  // An upstream server that died can't be told from one that broke a connection: no call of it is run again.
  ...([...PROCESS_KEYS, "retries"] as const).map((key) => ({
    key,
    wrong: isUnmanaged,
    message: OF_NO_PROCESS,
  })),
  {
    key: "port",
    wrong: (_, { web_server: command, python_function: target }) =>
      command === undefined && target === undefined,
    message: "belongs to web_server; the other kinds are told their port",
  },
  {
    key: "python",
    wrong: (_, given) => !isPython(given),
    message: "belongs to asgi, wsgi and callable; name the interpreter in the command instead",
  },
  {
    key: "requirements",
    wrong: (_, given) => !isPython(given),
    message: "belongs to asgi, wsgi and callable; a command brings what it needs",
  },
  {
    key: "web_server",
    by: ["port"],
    wrong: isNeverTold,
    message:
      'is not told its port: put "$PORT" where the command takes one, such as "--port", "$PORT", or set port to the one that it always takes, such as port = 8000',
  },
  {
    key: "stop_command",
    wrong: (_, { web_server: command }) => command === undefined,
    message: "belongs to web_server; the other kinds start nothing outside of their own process",
  },
  ...(["method", "docs"] as const).map((key) => ({
    key,
    wrong: (_: EndpointTable, given: GivenKeys) => given.callable === undefined,
    message: "belongs to callable",
  })),
];

/** Keys that are impossible together, for every kind. */
export const COMBINATIONS: readonly Combination[] = [
  ...SCALING_COMBINATIONS,
  {
    key: "target_inputs",
    by: ["max_inputs", "batch"],
    wrong: (endpoint) => (endpoint.target_inputs ?? 1) > maxInputsOf(endpoint),
    message: (endpoint) =>
      `must not be more than max_inputs, which is ${endpoint.max_inputs ?? `${maxInputsOf(endpoint)} where it is not set`}`,
  },
  {
    key: "max_inputs",
    by: ["batch"],
    wrong: ({ max_inputs: max, batch }) => (max ?? Infinity) < (batch?.max_batch_size ?? 0),
    message: ({ batch }) =>
      `must be at least the max_batch_size of batch, ${batch?.max_batch_size}: a container never has more requests to put into one`,
  },
  {
    key: "paths",
    wrong: ({ paths }) => paths !== undefined && Object.keys(paths).length === 0,
    message: 'must have allow or deny, such as { deny = ["/sleep", "/metrics*"] }',
  },
  {
    key: "rollout",
    wrong: ({ rollout }, { port }) => rollout === "overlap" && port !== undefined,
    message:
      'is impossible with one fixed port, which two versions can\'t share; put "$PORT" into the command instead',
  },
  {
    key: "gpu_memory",
    wrong: (_, { gpus = 0 }) => gpus !== 0,
    message: "is a part of one GPU, and gpus are whole ones; leave one of the two out",
  },
  ...(["sleep", "wake"] as const).map((key) => ({
    key,
    wrong: (_: EndpointTable, given: GivenKeys) => !needsGpu(given),
    message: "needs gpus or gpu_memory: a container sleeps while another one has its GPU",
  })),
  {
    key: "sleep",
    wrong: (_, { wake }) => wake === undefined,
    message: "needs wake, the requests that undo it",
  },
  {
    key: "wake",
    wrong: (_, { sleep }) => sleep === undefined,
    message: "needs sleep, the requests that it undoes",
  },
  {
    key: "affinity",
    wrong: ({ affinity = "none" }) => {
      const rules = [affinity].flat();
      return rules.length > 1 && rules.includes("none");
    },
    message: 'must have no other rule beside "none"',
  },
  ...Object.entries(HELD_REQUESTS).flatMap(([preset, held]) => [
    {
      key: "affinity" as const,
      by: ["max_inputs", "batch"] as const,
      wrong: (endpoint: EndpointTable) =>
        [endpoint.affinity ?? []].flat().includes(preset) && maxInputsOf(endpoint) === 1,
      message: needsSeveralInputs(held),
    },
    {
      key: "app_kind" as const,
      by: ["max_inputs", "batch"] as const,
      wrong: (endpoint: EndpointTable) =>
        endpoint.app_kind === preset && maxInputsOf(endpoint) === 1,
      message: needsSeveralInputs(held),
    },
  ]),
  {
    key: "requirements",
    by: ["max_inputs", "batch"],
    // A function that is called with pickles has no page.
    wrong: ({ requirements = [], ...endpoint }) =>
      endpoint.requires_app_token !== true &&
      maxInputsOf(endpoint) === 1 &&
      requirements.some((line) => /^\s*gradio(?![\w-])/i.test(line)),
    message: needsSeveralInputs(HELD_REQUESTS.gradio),
  },
  {
    key: "web_server",
    by: ["max_inputs", "batch", "directory"],
    wrong: ({ web_server: command = [], directory = "", ...endpoint }) =>
      maxInputsOf(endpoint) === 1 && isComfyUi(command, directory),
    message: `is ComfyUI and ${needsSeveralInputs(HELD_REQUESTS.comfyui)}`,
  },
  {
    key: "web_server",
    by: ["max_inputs", "batch"],
    wrong: ({ web_server: command = [], ...endpoint }) =>
      maxInputsOf(endpoint) === 1 && isGradio(command),
    message: `is Gradio and ${needsSeveralInputs(HELD_REQUESTS.gradio)}`,
  },
  {
    key: "affinity_mode",
    by: ["affinity"],
    wrong: ({ affinity = "none", affinity_mode }) =>
      [affinity].flat()[0] === "none" && affinity_mode === "hard",
    message: "needs an affinity to keep",
  },
  {
    key: "cors",
    wrong: ({ cors }) =>
      typeof cors === "object" && cors.credentials === true && cors.origins.includes("*"),
    message:
      "needs origins by name for credentials: otherwise every page could act as its visitors",
  },
  {
    key: "health_interval",
    wrong: ({ health_path: path }, given) => path === undefined && given.health_path === undefined,
    message: "needs health_path, the path to ask",
  },
];

/** The kinds that an endpoint names; right is exactly one. */
export function kindsOf(endpoint: Readonly<Record<string, unknown>>): string[] {
  return KIND_KEYS.filter((kind) => endpoint[kind] !== undefined);
}
