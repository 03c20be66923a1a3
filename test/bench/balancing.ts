/**
 * How calls and sessions are spread over boxes, in virtual time and from a seed. Prints the tables of docs/balancing.md:
 * `node test/bench/balancing.ts [seed]`.
 */
import { balancingTables } from "./balancing/tables.ts";

const [seed = "1"] = process.argv.slice(2);
for (const [name, table] of Object.entries(balancingTables(Number(seed)))) {
  console.log(`${name}\n\n${table}\n`);
}
