/**
 * Lets Node run this package's TypeScript where it is installed as a package: under a `node_modules` Node
 * refuses to by itself (ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING). In a clone it does nothing. For a Node
 * that strips types; plain JavaScript, since it comes before the first of those files.
 */
import { readFileSync } from "node:fs";
import { registerHooks, stripTypeScriptTypes } from "node:module";

const PACKAGE = new URL("..", import.meta.url).href;

if (PACKAGE.includes("/node_modules/")) {
  registerHooks({
    load(url, context, nextLoad) {
      if (!url.startsWith(PACKAGE) || !url.endsWith(".ts")) return nextLoad(url, context);
      const source = stripTypeScriptTypes(readFileSync(new URL(url), "utf8"));
      return { format: "module", source, shortCircuit: true };
    },
  });
}
