/** The scopes of API tokens: each may do everything that the ones before it may. */

export const SCOPES = ["read", "deploy", "admin"] as const;

export type Scope = (typeof SCOPES)[number];

/** Whether a token of scope `held` may do what `needed` asks for. */
export function allows(held: Scope, needed: Scope): boolean {
  return SCOPES.indexOf(held) >= SCOPES.indexOf(needed);
}

export function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
