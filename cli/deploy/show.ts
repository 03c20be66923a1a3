/** Prints a version that serves: its URLs, and which boxes have it. */

import { lookup } from "node:dns/promises";
import { printJson, printNotice } from "../output.ts";
import { printUrls } from "../printed-urls.ts";
import type { Watched } from "./follow.ts";
import type { ApiVersion } from "../../api/versions.ts";

export async function showServing(
  { app, environment }: Watched,
  { version, endpoints, boxes }: ApiVersion,
  { json, gatewayUrl }: { readonly json: boolean; readonly gatewayUrl: string },
): Promise<void> {
  if (json) {
    const states = boxes.map(({ name, connected, state }) => ({ name, connected, state }));
    printJson({ app, environment, version, gateway: gatewayUrl, urls: endpoints, boxes: states });
    return;
  }
  const here = boxes.filter(({ connected }) => connected).map(({ name }) => name);
  const away = boxes.filter(({ connected }) => !connected).map(({ name }) => name);
  printNotice(`v${version} of ${app} serves on ${here.join(", ")}`);
  if (away.length > 0) {
    printNotice(
      `away: ${away.join(", ")}; what is missing there comes from another box that has it`,
    );
  }
  const urls = endpoints.map((endpoint) => ({ ...endpoint, isPrivate: endpoint.private }));
  await printUrls(urls, { json, gatewayUrl, address: await addressOf(gatewayUrl) });
}

/** Where a URL's names are served, for a machine that can't resolve them. */
async function addressOf(gatewayUrl: string): Promise<string> {
  try {
    return (await lookup(new URL(gatewayUrl).hostname, { family: 4 })).address;
  } catch {
    return "127.0.0.1";
  }
}
