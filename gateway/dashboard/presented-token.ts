/** Reads the API token that a person gives: id and secret, with a dot, a line break or nothing between them. Pure. */

/** The command prints id and secret on two lines, and a field of one line joins them. */
const JOINED = /^(ak-.+-[a-z2-7]{26})(as-[a-z2-7]{32})$/;

/** As a Bearer value. The gateway judges it. */
export function presentedToken(text: string): string {
  const printable = text.replaceAll(/[^!-~]/g, "");
  return printable.replace(JOINED, "$1.$2");
}
