/** A small page of Postern's own. It loads nothing, and needs no script. Pure. */

interface HtmlPage {
  /** Text. */
  readonly title: string;
  readonly heading: string;
  readonly lines: readonly string[];
  readonly small: string;
  /** Seconds after which the browser asks again; absent: it does not. */
  readonly refreshS?: number;
  /** One button. */
  readonly form?: {
    /** A path. */
    readonly action: string;
    readonly label: string;
    readonly method?: "get" | "post";
  };
}

/** Of every page of Postern's own. */
export const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
} as const;

export function htmlPage({ title, heading, lines, small, refreshS, form }: HtmlPage): string {
  const refresh =
    refreshS === undefined ? "" : `<meta http-equiv="refresh" content="${refreshS}">\n`;
  const button =
    form === undefined
      ? ""
      : `<form action="${escape(form.action)}" method="${form.method ?? "post"}"><button>${escape(form.label)}</button></form>\n`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
${refresh}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>
:root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }
body { max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem; overflow-wrap: anywhere }
button { font: inherit; padding: .25rem 1rem }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem }
small { opacity: .65 }
</style>
<h1>${escape(heading)}</h1>
${lines.map((line) => `<p>${escape(line)}</p>\n`).join("")}${button}<p><small>${escape(small)}</small></p>
</html>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
