/**
 * The page at `/` of the base domain: what this gateway is, and the dashboard. The program of gateway/dashboard/ asks
 * `/api/v1` alone, by the token that a person gives. The page itself knows nothing and needs no authorization.
 */
import { SCRIPT, SCRIPT_HASH, STYLE, STYLE_HASH } from "./dashboard-files.ts";

/** The page runs its own script, asks its own origin, and is shown in no other page. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `script-src '${SCRIPT_HASH}'`,
  `style-src '${STYLE_HASH}'`,
  "connect-src 'self'",
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  // No text becomes markup or a script, not by a mistake of the program either (Trusted Types).
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

export const DASHBOARD_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "cache-control": "no-store",
  // Pages of endpoints are of the same site: they get no handle on this window.
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
} as const;

/** @param baseDomain as the operator set it; it is trusted, and a host name has nothing to escape */
export function dashboardPage(baseDomain: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Postern</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
<body>
<header>
<h1>Postern</h1>
<p id="who"></p>
<p id="read"></p>
<button id="sign-out" type="button" hidden>Sign out</button>
</header>
<main id="main" tabindex="-1">
<div id="welcome">
<p>This gateway serves endpoints at <code>&lt;workspace&gt;--&lt;app&gt;-&lt;function&gt;.${baseDomain}</code>.</p>
<p><code>postern url APP FUNCTION</code> prints the URL of one.</p>
<form id="sign-in" hidden>
<label for="token">API token, to see apps, boxes and calls</label>
<div>
<input id="token" type="password" required autocomplete="off" spellcheck="false" aria-describedby="problem help">
<button id="submit">Sign in</button>
</div>
<p id="problem" role="alert"></p>
<p id="help"><small><code>postern token create --scope read</code> prints one, as <code>ak-…</code> and <code>as-…</code> on two
lines: paste both. It stays in this tab until you sign out or close it.</small></p>
</form>
<noscript><p>The dashboard needs JavaScript. <code>postern app list</code> shows the same.</p></noscript>
</div>
<p id="state" role="status"></p>
<div id="workspace"></div>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}
