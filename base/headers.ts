/**
 * Flat header lists: name, value, name, value. Names are in lower case unless a function says otherwise.
 * Several lines may have one name (RFC 9110, 5.2), and their order is kept.
 *
 * A flat list is what Node, undici and the link's frames use, so that no response is converted on its way.
 */

export type HeaderList = readonly string[];

/** Calls back for each line, in order. The hot path uses this: it allocates nothing for a line. */
export function eachHeader(
  headers: HeaderList,
  visit: (name: string, value: string) => void,
): void {
  for (let index = 0; index < headers.length; index += 2) {
    visit(headers[index] as string, headers[index + 1] as string);
  }
}

/** The value of the first line with this name. */
export function getHeader(headers: HeaderList, name: string): string | undefined {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] === name) return headers[index + 1];
  }
  return undefined;
}

export function hasHeader(headers: HeaderList, name: string): boolean {
  return getHeader(headers, name) !== undefined;
}

/** The list with one line of this name, at its end, in place of all that were there. */
export function setHeader(headers: HeaderList, name: string, value: string): string[] {
  const changed = filterHeaders(headers, (other) => other !== name);
  changed.push(name, value);
  return changed;
}

/** The lines whose names pass the test. */
export function filterHeaders(headers: HeaderList, keep: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (keep(name)) kept.push(name, headers[index + 1] as string);
  }
  return kept;
}

/** Adds each line to the platform's own form of headers. */
export function appendHeaders(target: Pick<Headers, "append">, headers: HeaderList): void {
  for (let index = 0; index < headers.length; index += 2) {
    target.append(headers[index] as string, headers[index + 1] as string);
  }
}
