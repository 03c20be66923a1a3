/** Schemas of numbers that users choose, each with the sentence that tells what would be right. */
import * as z from "zod";

export function integer(minimum: number, maximum: number) {
  const error = `must be an integer from ${minimum} to ${maximum}`;
  return z.int({ error }).min(minimum, { error }).max(maximum, { error });
}

export function number(minimum: number, maximum: number, unit = "") {
  const error = `must be a number ${unit}from ${minimum} to ${maximum}`;
  return z.number({ error }).min(minimum, { error }).max(maximum, { error });
}

export function seconds(minimum: number, maximum: number) {
  return number(minimum, maximum, "of seconds ");
}
