/**
 * An endpoint's fallback: a server elsewhere that answers where no box takes a call. The agent checks it in postern.toml,
 * and the edge asks it.
 */
import * as z from "zod";

/** Names under which no public server is reached. */
const LOCAL_NAMES = "localhost|local|internal|intranet|lan|home|corp|home\\.arpa";
const LOCAL_NAME = new RegExp(`(^|\\.)(${LOCAL_NAMES})$`);

/** For the API's document, where a pattern stands for `isFallbackUrl`. */
const LABEL = "[a-z0-9]{1,30}(-[a-z0-9]{1,30})?";
const PATTERN = `^https://(?!([^/:]*\\.)?(${LOCAL_NAMES})(:|/|$))(${LABEL}\\.){1,8}[a-z]{2,30}(:[0-9]{1,4})?(/[!-"$->@-~]{0,200})?$`;

export const FALLBACK = z.object({
  url: z.string().max(2_048).refine(isFallbackUrl).meta({ pattern: PATTERN }),
  /** Values may have `$NAME` for variables of `secrets`. */
  headers: z.record(z.string().max(128), z.string().max(4_096)).exactOptional(),
  /** Names of secrets of the app's environment. */
  secrets: z.array(z.string().max(64)).max(20).exactOptional(),
  /** The name of each model there, by its name here. */
  models: z.record(z.string().max(256), z.string().max(256)).exactOptional(),
});

export type Fallback = z.output<typeof FALLBACK>;

/**
 * Whether a URL may be a fallback: https, a public name, nothing that a request would lose. An address is none, since one
 * may be private. A name may still lead to a private address: the gateway's runtime connects to public ones alone.
 */
export function isFallbackUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hostname, search, hash } = new URL(text);
  if (protocol !== "https:" || username + password + search + hash !== "") return false;
  const name = hostname.replace(/\.$/, "");
  // The last label of an IPv4 address is a number; URL writes IPv6 in brackets.
  return name.includes(".") && !/(^\[|\.\d+$)/.test(name) && !LOCAL_NAME.test(name);
}

/** A value with its variables in place; undefined where one is missing, or makes what no header may have. */
export function withVariables(
  value: string,
  variables: Readonly<Record<string, string>>,
): string | undefined {
  let isWhole = true;
  const expanded = value.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced?: string, plain?: string) => {
    const name = braced ?? plain ?? "";
    isWhole &&= Object.hasOwn(variables, name);
    return variables[name] ?? "";
  });
  return isWhole && /^[\t\x20-\x7e]*$/.test(expanded) ? expanded : undefined;
}
