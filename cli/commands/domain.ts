/** `postern domain`: domains of the workspace's own, and the records that prove them. */

import {
  ADD_DOMAIN,
  type ApiDomain,
  LIST_DOMAINS,
  REMOVE_DOMAIN,
  VERIFY_DOMAIN,
} from "../../api/domains.ts";
import { ACCESS_NOTE, findAccess, STATE_OPTION } from "../access.ts";
import { ApiClient } from "../client.ts";
import type { Command, CommandGroup } from "../command.ts";
import { CommandFailure } from "../failure.ts";
import { printJson, printNotice, printResult } from "../output.ts";
import { shellWord } from "../printed-urls.ts";
import { tableOf } from "../table.ts";

const NO_ENVIRONMENT = "a domain belongs to the whole workspace";

const HERE = "brings its clients here";
const INSTEAD = "does so where no CNAME can stand";
const FOR_CLIENTS = { TXT: "", CNAME: HERE, A: INSTEAD, AAAA: INSTEAD } as const;

const ADD: Command<typeof STATE_OPTION> = {
  description: {
    name: "domain add",
    summary: "Adds a domain, such as api.example.com or '*.example.net'; prints its DNS records.",
    positionals: ["DOMAIN"],
    options: STATE_OPTION,
    noEnvironment: NO_ENVIRONMENT,
    notes: [
      "It serves nothing until DNS has its TXT record. Name it in custom_domains of an endpoint, and deploy.",
      ACCESS_NOTE,
    ],
  },
  async run({ values, positionals: [domain = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const added = await client.call(ADD_DOMAIN, { path: { domain } });
    if (values.json === true) {
      printJson(added);
      return 0;
    }
    const rows = added.records.map(({ type, name, value, purpose }) => [
      type,
      name,
      value,
      purpose === "proof" ? "proves that it is yours" : FOR_CLIENTS[type],
    ]);
    for (const line of tableOf(["TYPE", "NAME", "VALUE", "FOR"], rows)) printResult(line);
    printNotice(
      `${added.domain} is ${added.state}. Set the records, then: postern domain verify ${shellWord(added.domain)}\n` +
        "At the apex of a zone use the gateway's A and AAAA addresses instead of the CNAME.",
    );
    return 0;
  },
};

const LIST: Command<typeof STATE_OPTION> = {
  description: {
    name: "domain list",
    summary: "Lists the workspace's domains with their states, newest first.",
    positionals: [],
    options: STATE_OPTION,
    noEnvironment: NO_ENVIRONMENT,
    notes: ["A verified domain alone serves.", ACCESS_NOTE],
  },
  async run({ values }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const domains = await client.list(LIST_DOMAINS, {});
    if (values.json === true) {
      printJson(domains);
      return 0;
    }
    const rows = domains.map((domain) => [
      domain.domain,
      domain.state,
      domain.checked_at ?? "never",
      noteOf(domain),
    ]);
    for (const line of tableOf(["DOMAIN", "STATE", "CHECKED", "NOTE"], rows)) printResult(line);
    return 0;
  },
};

const VERIFY: Command<typeof STATE_OPTION> = {
  description: {
    name: "domain verify",
    summary: "Asks DNS now whether a domain is the workspace's; 1 where it does not say so.",
    positionals: ["DOMAIN"],
    options: STATE_OPTION,
    noEnvironment: NO_ENVIRONMENT,
    notes: ["Its proof moves the domain here from any other workspace.", ACCESS_NOTE],
  },
  async run({ values, positionals: [domain = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    const checked = await client.call(VERIFY_DOMAIN, { path: { domain } });
    if (values.json === true) printJson(checked);
    const isProved = checked.state === "verified" && checked.detail === "";
    if (values.json === true) return isProved ? 0 : 1;
    if (!isProved)
      throw new CommandFailure(`${checked.domain} is ${checked.state}: ${noteOf(checked)}`);
    const waits = checked.hostname ? `, and waits: ${checked.hostname}` : "";
    printNotice(`${checked.domain} is verified${waits}`);
    if (checked.address) {
      printNotice(
        `Its clients do not come here, unless a proxy of yours brings them: ${checked.address}.`,
      );
    }
    return 0;
  },
};

const REMOVE: Command<typeof STATE_OPTION> = {
  description: {
    name: "domain remove",
    summary: "Forgets a domain, which then serves nothing within 5 s.",
    positionals: ["DOMAIN"],
    options: STATE_OPTION,
    noEnvironment: NO_ENVIRONMENT,
    notes: [ACCESS_NOTE],
  },
  async run({ values, positionals: [domain = ""] }) {
    const client = new ApiClient(findAccess(values.state, process.env));
    await client.call(REMOVE_DOMAIN, { path: { domain } });
    if (values.json === true) printJson({ domain, removed: true });
    else printNotice(`${domain} is removed`);
    return 0;
  },
};

export const DOMAIN: CommandGroup = {
  name: "domain",
  summary: "Manages domains of your own.",
  commands: { add: ADD, list: LIST, verify: VERIFY, remove: REMOVE },
};

function noteOf({ detail, hostname, lapses_at: lapsesAt }: ApiDomain): string {
  if (detail === "") return hostname ?? "";
  return lapsesAt === null ? detail : `${detail}; it lapses at ${lapsesAt}`;
}
