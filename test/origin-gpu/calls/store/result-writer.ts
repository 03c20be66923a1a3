/**
 * A process that stores results without end in the directory of its argument, several at a time, and says
 * of each one that is complete: its call, length and seed. Made to be killed.
 */
import { writeSync } from "node:fs";
import { begin, openStore, pattern } from "./result-tools.ts";

const [, , directory = ""] = process.argv;
const { store } = await openStore({ directory, memoryBytes: 4096, packBytes: 50_000 });

async function keepOne(writer: number, number: number): Promise<void> {
  const call = `${process.pid}-${writer}-${number}`;
  const length = number % 5 === 0 ? 20_000 + number : number % 300;
  const spool = begin(store, call);
  const body = pattern(length, number);
  for (let at = 0; at < length; at += 1000) spool.append(body.subarray(at, at + 1000));
  await spool.complete();
  writeSync(1, `${call} ${length} ${number}\n`);
}

async function keepOn(writer: number): Promise<void> {
  for (let number = 0; number < 10_000; number += 1) await keepOne(writer, number);
}

await Promise.all([0, 1, 2, 3].map(keepOn));
