/**
 * How the autoscaler does under several kinds of traffic, in virtual time, against the best that is possible for
 * somebody who knows the future. Prints the table of docs/pools.md: `node test/bench/autoscaler/main.ts`.
 */
import { autoscalerTable } from "./table.ts";

console.log(autoscalerTable());
