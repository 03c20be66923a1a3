/** A small page of Postern's own. It loads nothing, and needs no script. Pure. */

interface HtmlPage {
  /** Text. */
  readonly title: string;
  readonly heading: string;
  readonly lines: readonly string[];
  readonly small: string;
  /** Seconds after which the browser asks again; absent: it does not. */
  readonly refreshS?: number;
}

/** Of every page of Postern's own. */
export const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
} as const;

export function htmlPage({ title, heading, lines, small, refreshS }: HtmlPage): string {
  const refresh =
    refreshS === undefined ? "" : `<meta http-equiv="refresh" content="${refreshS}">\n`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
${refresh}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>
:root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem }
small { opacity: .65 }
</style>
<h1>${escape(heading)}</h1>
${lines.map((line) => `<p>${escape(line)}</p>\n`).join("")}<p><small>${escape(small)}</small></p>
</html>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
