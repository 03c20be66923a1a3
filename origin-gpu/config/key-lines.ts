/**
 * On which line of a TOML document a key or an array's element stands, so that a problem can name it;
 * the parser tells only values. Works on documents that the parser has accepted: it looks for structure
 * and judges nothing.
 */

/** Where a value is: table keys and array indices from the root. */
export type KeyPath = readonly (string | number)[];

/** Answers with the line (from 1) of the deepest part of the path that the document spells out. */
export type LineOf = (path: KeyPath) => number;

/** Reads a valid TOML document once and remembers where its keys are. */
export function locateKeys(text: string): LineOf {
  const lines = new KeyScanner(text).scan();
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const line = lines.get(JSON.stringify(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  };
}

const END_OF_BARE_VALUE = /[,\]}#\n]/g;
const BARE_KEY = /[A-Za-z0-9_-]+/y;

class KeyScanner {
  readonly #text: string;
  readonly #lines = new Map<string, number>();
  /** How many elements each array of tables has so far; its last one is what `[a.b]` below it means. */
  readonly #arraysOfTables = new Map<string, number>();
  #position = 0;
  /** The line of the character at `#lineKnownUntil`: counted up to where it is asked for. */
  #line = 1;
  #lineKnownUntil = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): ReadonlyMap<string, number> {
    let table: KeyPath = [];
    for (;;) {
      this.#skipBlank();
      if (this.#position >= this.#text.length) return this.#lines;
      if (this.#peek() === "[") table = this.#header();
      else this.#keyAndValue(table);
    }
  }

  /** `[a.b]` or `[[a.b]]`: returns the path of the table that follows. */
  #header(): KeyPath {
    const array = this.#text.startsWith("[[", this.#position);
    const line = this.#lineHere();
    this.#position += array ? 2 : 1;
    const keys = this.#dottedKey();
    this.#position += array ? 2 : 1;
    const last = keys.pop() ?? "";
    let path: (string | number)[] = [];
    for (const key of keys) {
      path.push(key);
      this.#remember(path, line);
      path = this.#lastElement(path);
    }
    path.push(last);
    if (array) {
      const name = JSON.stringify(path);
      const index = this.#arraysOfTables.get(name) ?? 0;
      this.#arraysOfTables.set(name, index + 1);
      this.#remember(path, line);
      path.push(index);
    }
    this.#remember(path, line);
    return path;
  }

  #lastElement(path: (string | number)[]): (string | number)[] {
    const count = this.#arraysOfTables.get(JSON.stringify(path));
    return count === undefined ? path : [...path, count - 1];
  }

  #keyAndValue(table: KeyPath): void {
    const line = this.#lineHere();
    const path = [...table];
    for (const key of this.#dottedKey()) {
      path.push(key);
      this.#remember(path, line);
    }
    this.#position++; // "="
    this.#skipBlank();
    this.#value(path);
  }

  #value(path: KeyPath): void {
    const first = this.#peek();
    if (first === "{") this.#inlineTable(path);
    else if (first === "[") this.#array(path);
    else if (first === '"' || first === "'") this.#string();
    else {
      END_OF_BARE_VALUE.lastIndex = this.#position;
      this.#position = END_OF_BARE_VALUE.exec(this.#text)?.index ?? this.#text.length;
    }
  }

  #inlineTable(path: KeyPath): void {
    this.#position++;
    while (this.#hasNext("}")) this.#keyAndValue(path);
  }

  #array(path: KeyPath): void {
    this.#position++;
    for (let index = 0; this.#hasNext("]"); index++) {
      const element = [...path, index];
      this.#remember(element, this.#lineHere());
      this.#value(element);
    }
  }

  /** Goes to the next element of an array or inline table; past the bracket when there is none. */
  #hasNext(close: string): boolean {
    this.#skipBlank();
    if (this.#peek() === ",") {
      this.#position++;
      this.#skipBlank();
    }
    if (this.#peek() !== close && this.#position < this.#text.length) return true;
    this.#position++;
    return false;
  }

  /** A key with its dots; ends before "=" or "]". */
  #dottedKey(): string[] {
    const keys: string[] = [];
    for (;;) {
      this.#skipBlank();
      keys.push(this.#simpleKey());
      this.#skipBlank();
      if (this.#peek() !== ".") return keys;
      this.#position++;
    }
  }

  #simpleKey(): string {
    const first = this.#peek();
    if (first === '"') return unescapeBasicString(this.#string());
    if (first === "'") return this.#string();
    BARE_KEY.lastIndex = this.#position;
    const key = BARE_KEY.exec(this.#text)?.[0] ?? "";
    this.#position += Math.max(1, key.length);
    return key;
  }

  /** Passes any of the four kinds of string; returns what stands between the quotes. */
  #string(): string {
    const quote = this.#peek();
    const delimiter = this.#text.startsWith(quote.repeat(3), this.#position)
      ? quote.repeat(3)
      : quote;
    const start = this.#position + delimiter.length;
    let end = start;
    while (end < this.#text.length && !this.#text.startsWith(delimiter, end)) {
      end += quote === '"' && this.#text[end] === "\\" ? 2 : 1;
    }
    // A multi-line string may end in up to two quotes of its own: """a""""" holds a"".
    while (delimiter.length === 3 && this.#text[end + 3] === quote) end++;
    this.#position = end + delimiter.length;
    return this.#text.slice(start, end);
  }

  #skipBlank(): void {
    for (; this.#position < this.#text.length; this.#position++) {
      const character = this.#peek();
      if (character === "#") {
        const end = this.#text.indexOf("\n", this.#position);
        this.#position = end < 0 ? this.#text.length : end;
      } else if (!" \t\r\n".includes(character)) return;
    }
  }

  #peek(): string {
    return this.#text[this.#position] ?? "";
  }

  #lineHere(): number {
    for (; this.#lineKnownUntil < this.#position; this.#lineKnownUntil++) {
      if (this.#text[this.#lineKnownUntil] === "\n") this.#line++;
    }
    return this.#line;
  }

  /** The first mention counts: that is where somebody would look for a table. */
  #remember(path: KeyPath, line: number): void {
    const name = JSON.stringify(path);
    if (!this.#lines.has(name)) this.#lines.set(name, line);
  }
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  t: "\t",
  n: "\n",
  f: "\f",
  r: "\r",
  e: "\u001b",
};

function unescapeBasicString(text: string): string {
  return text.replaceAll(
    /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))/g,
    (_all, short?: string, long?: string, byte?: string, character = "") => {
      const code = short ?? long ?? byte;
      if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
      return SHORT_ESCAPES[String(character)] ?? String(character);
    },
  );
}
