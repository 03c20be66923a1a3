/**
 * Makes elements of a page and brings them up to date. Text goes in as text, and a URL by its scheme: no value of the
 * API becomes markup.
 */

type Content = Node | string;

/** @param attributes names and values that are this program's own */
export function element(
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Content[]
): HTMLElement {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A link where the URL leads to a web page; else its text. */
export function link(url: string): HTMLElement {
  const isWeb = /^https?:\/\//i.test(url) && URL.canParse(url);
  return isWeb ? element("a", { href: url }, url) : element("span", {}, url);
}

/** A moment, in the words of the reader's own place. */
export function moment(time: string): HTMLElement {
  const at = new Date(time);
  if (Number.isNaN(at.valueOf())) return element("span", {}, time);
  const isToday = at.toDateString() === new Date().toDateString();
  const shown = isToday ? at.toLocaleTimeString() : at.toLocaleString();
  return element("time", { datetime: at.toISOString() }, shown);
}

/** The first column names the row. */
export interface Column<Row> {
  readonly heading: string;
  readonly isNumber?: true;
  cell(this: void, row: Row): readonly Content[];
}

/**
 * A table. Its roles are spelt out, because a narrow screen shows rows as blocks, and browsers would forget the roles.
 * @param keyOf tells a row from the others, from one reading to the next
 */
export function table<Row>(
  caption: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  keyOf: (row: Row) => string,
): HTMLElement {
  const headings = columns.map(({ heading, isNumber }) =>
    element("th", { scope: "col", role: "columnheader", ...classOf(isNumber) }, heading),
  );
  const body = rows.map((row) => {
    const cells = columns.map(({ heading, isNumber, cell }, index) => {
      const label = { "data-label": heading, ...classOf(isNumber) };
      return index === 0
        ? element("th", { scope: "row", role: "rowheader", ...label }, ...cell(row))
        : element("td", { role: "cell", ...label }, ...cell(row));
    });
    return element("tr", { role: "row", "data-key": keyOf(row) }, ...cells);
  });
  return element(
    "table",
    { role: "table", "data-key": caption },
    element("caption", {}, element("h2", {}, caption)),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...headings)),
    element("tbody", { role: "rowgroup" }, ...body),
  );
}

function classOf(isNumber: true | undefined): Readonly<Record<string, string>> {
  return isNumber === true ? { class: "number" } : {};
}

/** Gives a node the children of another one. A child that stays keeps its focus and the reader's selection. */
export function update(present: Node, wanted: Node): void {
  const before = [...present.childNodes];
  const after = [...wanted.childNodes].map((node, index) => {
    const key = keyOf(node);
    const twin =
      key === undefined ? before[index] : before.find((candidate) => keyOf(candidate) === key);
    if (twin?.nodeName !== node.nodeName || keyOf(twin) !== key) return node;
    if (!twin.isEqualNode(node)) refresh(twin, node);
    return twin;
  });
  const staying = new Set<ChildNode>(after);
  for (const node of before) if (!staying.has(node)) node.remove();
  for (const [index, node] of after.entries()) {
    const there = present.childNodes[index] ?? null;
    if (there !== node) present.insertBefore(node, there);
  }
}

function refresh(twin: ChildNode, node: ChildNode): void {
  if (!(twin instanceof Element && node instanceof Element)) {
    twin.nodeValue = node.nodeValue;
    return;
  }
  for (const name of twin.getAttributeNames()) {
    if (!node.hasAttribute(name)) twin.removeAttribute(name);
  }
  for (const { name, value } of node.attributes) twin.setAttribute(name, value);
  update(twin, node);
}

function keyOf(node: Node): string | undefined {
  return node instanceof HTMLElement ? node.dataset["key"] : undefined;
}
