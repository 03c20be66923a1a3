/**
 * Finds endpoints that are right by themselves and can't be one app together. It gets keys that have the right type.
 * combinations.ts checks the keys within one endpoint.
 */
import type { EndpointTable } from "./keys.ts";
import { showValue } from "./problems.ts";

export interface Disagreement {
  /** Of the endpoint to blame. */
  readonly index: number;
  readonly key: keyof EndpointTable;
  readonly message: string;
}

type Tables = readonly EndpointTable[];

/** Gives an endpoint's label in URLs, where it has no label of its own; undefined where the names make none. */
export type LabelOf = (app: string, functionName: string) => string | undefined;

export function disagreements(
  tables: Tables,
  app: string | undefined,
  labelOf: LabelOf | undefined,
): Disagreement[] {
  return [
    ...sameFunction(tables),
    ...sameLabel(tables, (name) => (app === undefined ? undefined : labelOf?.(app, name))),
    ...samePort(tables),
    ...strangeContainers(tables),
    ...otherPlace(tables, "boxes"),
    ...otherPlace(tables, "region"),
  ];
}

function sameFunction(tables: Tables): Disagreement[] {
  const seen = new Set<string>();
  const message = "another endpoint of this app has it already";
  return tables.flatMap(({ function: name }, index) => {
    if (name === undefined) return [];
    if (seen.has(name)) return [{ index, key: "function", message }];
    seen.add(name);
    return [];
  });
}

/** Different functions can meet in one label: `a_b` and `a-b`, or a label that is another's name. */
function sameLabel(
  tables: Tables,
  generated: (functionName: string) => string | undefined,
): Disagreement[] {
  const seen = new Map<string, string>();
  return tables.flatMap(({ function: name, label: own }, index) => {
    if (name === undefined) return [];
    const label = own ?? generated(name);
    if (label === undefined) return [];
    const other = seen.get(label);
    seen.set(label, other ?? name);
    // Of a function that stands there twice enough is said.
    if (other === undefined || (other === name && own === undefined)) return [];
    const key = own === undefined ? "function" : "label";
    const message = `makes the label ${label}, which ${other} has already; give one of the two another label`;
    return [{ index, key, message }];
  });
}

function samePort(tables: Tables): Disagreement[] {
  const seen = new Map<number, string>();
  return tables.flatMap(({ function: name = "another endpoint", port }, index) => {
    if (port === undefined) return [];
    const other = seen.get(port);
    seen.set(port, other ?? name);
    if (other === undefined) return [];
    const message = `is the port of ${other} already; put "$PORT" into the command instead, or choose another`;
    return [{ index, key: "port", message }];
  });
}

function strangeContainers(tables: Tables): Disagreement[] {
  const owners = tables.filter((table) => table.containers_of === undefined);
  const known = new Set(owners.map((table) => table.function));
  const message =
    "must name the function of another endpoint of this app that has containers of its own";
  return tables.flatMap(({ containers_of: owner }, index) =>
    owner === undefined || known.has(owner) ? [] : [{ index, key: "containers_of", message }],
  );
}

/** An app's endpoints run on the same boxes: those that set `boxes` or `region` must have the same value. */
function otherPlace(tables: Tables, key: "boxes" | "region"): Disagreement[] {
  const first = tables.find((table) => table[key] !== undefined);
  const message = `all endpoints of an app run on the same boxes: say the same as ${first?.function ?? "the first one"}, or leave it out`;
  return tables.flatMap((table, index) =>
    table[key] === undefined || showValue(table[key]) === showValue(first?.[key])
      ? []
      : [{ index, key, message }],
  );
}
