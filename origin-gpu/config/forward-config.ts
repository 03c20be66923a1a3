/** The configuration of a port that is forwarded under a name that nobody guesses: of the command's and a container's. */
import { randomBytes } from "node:crypto";
import { type ConfigResult, parseConfigDocument } from "./parse.ts";

/** 120 random bits, in hex. */
const NAME_BYTES = 15;

/** The server may be asked by many at once: it has a queue of its own. */
const MAX_INPUTS = 1_000;

/** The only function of such an app. */
export const FORWARDED = "port";

export interface ForwardedPort {
  readonly upstream: string;
  /** Everybody who knows the name is let in. */
  readonly isOpen: boolean;
  /** As the key `host_header`. */
  readonly hostHeader: string;
}

/** An app of one endpoint, under a new random name. */
export function forwardConfig({ upstream, isOpen, hostHeader }: ForwardedPort): ConfigResult {
  const name = randomBytes(NAME_BYTES).toString("hex");
  const endpoint = {
    function: FORWARDED,
    label: name,
    upstream,
    requires_proxy_auth: !isOpen,
    host_header: hostHeader,
    max_inputs: MAX_INPUTS,
  };
  return parseConfigDocument(
    { app: `forward-${name.slice(0, 8)}`, endpoint: [endpoint] },
    process.cwd(),
    "postern forward",
  );
}
