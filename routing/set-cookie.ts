/**
 * Cookies of apps. All endpoints are below one base domain, so that a cookie with a `Domain` above an app's own host
 * would be sent to the apps of other tenants. Pure.
 */

/**
 * A Set-Cookie value without any `Domain` but the app's own host: the cookie is the own host's then. A value is compared
 * as it stands, since browsers map many spellings to one domain.
 * @param host the own one in lower case, without a port
 */
export function ownCookie(value: string, host: string): string {
  if (!/;[^=;]*domain/i.test(value)) return value;
  // RFC 6265, 5.2: no quotes protect a semicolon.
  const [pair = "", ...attributes] = value.split(";");
  const kept = attributes.filter((attribute) => !isForeignDomain(attribute, host));
  return [pair, ...kept].join(";");
}

function isForeignDomain(attribute: string, host: string): boolean {
  const equals = attribute.indexOf("=");
  const name = equals === -1 ? attribute : attribute.slice(0, equals);
  if (name.trim().toLowerCase() !== "domain") return false;
  const domain = equals === -1 ? "" : attribute.slice(equals + 1);
  // RFC 6265, 5.2.3: a leading dot says nothing.
  return domain.trim().toLowerCase().replace(/^\./, "") !== host;
}
