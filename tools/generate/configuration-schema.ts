/**
 * docs/postern.schema.json: a JSON Schema (2020-12) of postern.toml, for editors that complete and check TOML. The
 * agent's own check knows more: combinations of keys, and what a pattern can't say.
 */
import * as z from "zod";
import type { Key } from "../../origin-gpu/config/keys/key.ts";
import { APP_KEYS, ENDPOINT_KEYS, KIND_KEYS } from "../../origin-gpu/config/keys.ts";
import { defaultValueOf, jsonOr } from "../../origin-gpu/config/keys/default-value.ts";
import { valueWords } from "./key-values.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

/** Renders the file. */
export function configurationSchema(): string {
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "postern.toml",
    description: "One app of Postern: which servers it has, how they start, and what they may take",
    type: "object",
    properties: {
      ...propertiesOf(APP_KEYS),
      endpoint: {
        type: "array",
        minItems: 1,
        description: "One server with a URL of its own",
        items: {
          type: "object",
          properties: propertiesOf(ENDPOINT_KEYS),
          required: ["function"],
          oneOf: KIND_KEYS.map((kind) => ({ required: [kind] })),
          additionalProperties: false,
        },
      },
    },
    required: ["app", "endpoint"],
    additionalProperties: false,
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

function propertiesOf(keys: Readonly<Record<string, Key>>): Record<string, JsonSchema> {
  const properties: Record<string, JsonSchema> = {};
  for (const [name, key] of Object.entries(keys)) {
    const { schema, text } = key;
    const meaning = text.meaning.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, "$1");
    const { $schema: _, ...json } = z.toJSONSchema(schema, { io: "input" });
    properties[name] = {
      ...json,
      description: hover(meaning, key),
      default: defaultValueOf(key),
      examples: [jsonOr(text.example)],
    };
  }
  return properties;
}

/** The text that an editor shows of a key, in Markdown: meaning, value with unit and range, default. */
function hover(meaning: string, key: Key): string {
  const words = valueWords(key);
  const value = `${words[0]?.toUpperCase()}${words.slice(1)}.`;
  const { default: fallback } = key.text;
  if (fallback === undefined) return `${meaning}\n\n${value}`;
  return `${meaning}\n\n${value} ${fallback === "required" ? "Required." : `Default: ${fallback}.`}`;
}
