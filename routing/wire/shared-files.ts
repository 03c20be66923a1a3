/**
 * Files of a Gradio endpoint that its boxes fetch from each other: the name of each is all that a client says of it, so
 * a name can be nothing but a file's in a folder of the endpoint's directory.
 */
import * as z from "zod";
import { MIB } from "../../base/units.ts";

/** A larger one is not fetched: its request fails in the app. */
export const MAX_SHARED_FILE_BYTES = 256 * MIB;

/** SHA-1 or SHA-256, in hex. */
const FOLDER = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

const MAX_NAME_BYTES = 255;

export const FILE_FOLDER = z.string().regex(FOLDER);

export const FILE_NAME = z.string().refine(isFileName);

export interface SharedFile {
  readonly folder: string;
  readonly name: string;
}

/** The file of `<folder>/<name>`; undefined for anything else. */
export function sharedFile(path: string): SharedFile | undefined {
  const [folder = "", name = "", ...more] = path.split("/");
  return more.length === 0 && FOLDER.test(folder) && isFileName(name)
    ? { folder, name }
    : undefined;
}

function isFileName(name: string): boolean {
  const isHostile = name === "" || name === "." || name === ".." || /[/\0]/.test(name);
  return (
    !isHostile && name.isWellFormed() && new TextEncoder().encode(name).length <= MAX_NAME_BYTES
  );
}
