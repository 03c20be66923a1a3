/** A property that is absent rather than undefined. */
export function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [Key in Name]?: Value } {
  if (value === undefined) return {};
  return { [name]: value } as { readonly [Key in Name]: Value };
}
