/** The page at `/` of the base domain, until the dashboard takes its place. */

/** @param baseDomain as the operator set it; it is trusted, and a host name has nothing to escape */
export function landingPage(baseDomain: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Postern</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif }
  body { max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem }
  h1 { font-weight: 600; letter-spacing: -.02em; margin-bottom: .2em }
  code { font: .95em ui-monospace, monospace }
</style>
<h1>Postern</h1>
<p>This gateway serves endpoints at <code>&lt;workspace&gt;--&lt;app&gt;-&lt;function&gt;.${baseDomain}</code>.</p>
<p><code>postern url APP FUNCTION</code> prints the URL of one.</p>
</html>
`;
}
