/**
 * The Worker of gateways in fault-injecting tests: the real one, but its link objects can be ended from outside, and how
 * often they began is counted.
 */
import worker, { Names, Origin, Workspace } from "../../gateway/worker.ts";
import type { Env } from "../../gateway/contracts/env.ts";
import { originStub } from "../../gateway/contracts/stubs.ts";

const ABORT = "http://origin/abort";

/** How many link objects this isolate has made: one that hibernated is made anew. */
let begun = 0;

class MortalOrigin extends Origin {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    begun += 1;
  }

  override async fetch(request: Request): Promise<Response> {
    if (request.url !== ABORT) return await super.fetch(request);
    this.ctx.abort("ended by a test");
    return new Response(null);
  }
}

export { Names, MortalOrigin as Origin, Workspace };

export default {
  async fetch(request, env, execution): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/_postern/test/origins-begun") return new Response(String(begun));
    if (url.pathname !== "/_postern/test/abort-origin") {
      return await worker.fetch(request, env, execution);
    }
    const { workspace = "", box = "", link = "0" } = Object.fromEntries(url.searchParams);
    await originStub(env, workspace, box, Number(link))
      .fetch(ABORT)
      .catch(() => undefined);
    return new Response(null, { status: 204 });
  },
} satisfies ExportedHandler<Env>;
