/**
 * Reads just enough TypeScript to judge a file's dependencies: what is code rather than comment or text,
 * and which modules it imports. No types and no syntax tree.
 */

const SPACE_OR_COMMENT = /\s+|\/\/.*|\/\*[^]*?\*\//y;
const STRING = /"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y;
/** From a backtick, or the brace that ends a substitution, to the next substitution or the end. */
const TEMPLATE_PART = /[`}](?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y;
const REGULAR_EXPRESSION = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const WORD_OR_CHARACTER = /[\w$]+|[^]/y;

/** After these a slash begins a regular expression; after anything else it divides. */
const BEFORE_EXPRESSION =
  /^(?:[=(,:;!&|?{}[+\-*%~^<>]|return|typeof|case|in|of|delete|void|throw|else|do|await|yield)?$/;

/**
 * The text with comments and the insides of strings, templates and regular expressions blanked, every
 * other character where it was. What stands in a template's substitutions is code, and stays.
 */
export function codeOf(text: string): string {
  let code = "";
  let previous = "";
  /** How many braces are open inside the substitution of each open template. */
  const substitutions: number[] = [];
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = code.length;
    return pattern.exec(text)?.[0];
  };

  while (code.length < text.length) {
    const skipped = take(SPACE_OR_COMMENT);
    if (skipped !== undefined) {
      code += blank(skipped);
      continue;
    }
    const next = text[code.length];
    const endsSubstitution = next === "}" && substitutions.at(-1) === 0;
    const template = next === "`" || endsSubstitution ? take(TEMPLATE_PART) : undefined;
    const literal =
      template ??
      take(STRING) ??
      (BEFORE_EXPRESSION.test(previous) ? take(REGULAR_EXPRESSION) : undefined);
    if (literal !== undefined) {
      if (endsSubstitution) substitutions.pop();
      if (template?.endsWith("${") === true) substitutions.push(0);
      const end = literal.endsWith("${") ? 2 : 1;
      code += literal.slice(0, 1) + blank(literal.slice(1, -end)) + literal.slice(-end);
      // A substitution begins an expression; after a whole literal a slash divides.
      previous = end === 2 ? "{" : "literal";
      continue;
    }
    previous = take(WORD_OR_CHARACTER) as string;
    code += previous;
    const depth = substitutions.length - 1;
    if (depth >= 0 && previous === "{") substitutions[depth] = (substitutions[depth] as number) + 1;
    if (depth >= 0 && previous === "}") substitutions[depth] = (substitutions[depth] as number) - 1;
  }
  return code;
}

export interface Import {
  specifier: string;
  /** `import type` or `export type`: gone at run time, and no dependency of the running program. */
  typeOnly: boolean;
}

/** What a file imports, in order: static, for side effects, re-exported, dynamic, and as types. */
export function importsOf(text: string): Import[] {
  const code = codeOf(text);
  return [...code.matchAll(IMPORT)].map((match) => {
    const opening = match.index + match[0].length - 1;
    const quote = code[opening] as string;
    const specifier = QUOTES.includes(quote)
      ? text.slice(opening + 1, code.indexOf(quote, opening + 1))
      : UNREADABLE_IMPORT;
    return { specifier, typeOnly: /^\w+\s+type\s*[{*\w]/.test(match[0]) };
  });
}

/** Stands for `import(expression)`: nobody can say what that depends on. */
export const UNREADABLE_IMPORT = "(an expression)";

const QUOTES = "\"'`";

/** Ends with the specifier's opening quote, or with whatever else a dynamic import begins with. */
const IMPORT =
  /\b(?:import|export)\b(?=[\s{*"'])[^"'`;()]*?\bfrom\s*["']|\bimport\s*["']|\bimport\s*\(\s*[^\s]/g;

function blank(text: string): string {
  return text.replace(/[^\n]/g, " ");
}
