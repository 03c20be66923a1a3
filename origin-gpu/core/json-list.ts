/**
 * JSON texts as the elements of a list, and back, without a change to any of them: numbers keep their digits, objects
 * the order of their keys. Pure.
 */

/** @param elements JSON texts, each by itself */
export function listOf(elements: readonly string[]): string {
  return `[${elements.join(",")}]`;
}

/** The texts of a list's elements; undefined for a text that is no JSON, or no list. */
export function elementsOf(text: string): string[] | undefined {
  if (!isList(text)) return undefined;
  const elements: string[] = [];
  let depth = 0;
  let begin = text.indexOf("[") + 1;
  const end = text.lastIndexOf("]");
  for (let index = begin; index < end; index++) {
    const character = text[index];
    if (character === '"') index = endOfString(text, index);
    else if (character === "[" || character === "{") depth++;
    else if (character === "]" || character === "}") depth--;
    else if (character === "," && depth === 0) {
      elements.push(text.slice(begin, index).trim());
      begin = index + 1;
    }
  }
  const last = text.slice(begin, end).trim();
  if (last !== "") elements.push(last);
  return elements;
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isList(text: string): boolean {
  return isJson(text) && text.trimStart().startsWith("[");
}

/** @param begin of the opening quote. @returns the closing one's place */
function endOfString(text: string, begin: number): number {
  let index = begin + 1;
  while (text[index] !== '"') index += text[index] === "\\" ? 2 : 1;
  return index;
}
