/**
 * docs/postern.schema.json: a JSON Schema (2020-12) of postern.toml, for editors that complete and check TOML. The
 * agent's own check knows more: combinations of keys, and what a pattern can't say.
 */
import * as z from "zod";
import type { Key } from "../../origin-gpu/config/keys/key.ts";
import { APP_KEYS, AVAILABLE_KINDS, ENDPOINT_KEYS } from "../../origin-gpu/config/keys.ts";

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
          oneOf: AVAILABLE_KINDS.map((kind) => ({ required: [kind] })),
          additionalProperties: false,
        },
      },
    },
    required: ["app", "endpoint"],
    additionalProperties: false,
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

/** The keys that a file may have: where only a default is accepted, that alone. */
function propertiesOf(keys: Readonly<Record<string, Key>>): Record<string, JsonSchema> {
  const properties: Record<string, JsonSchema> = {};
  for (const [name, { schema, status, text, defaultValue }] of Object.entries(keys)) {
    if (status === "later") continue;
    const description = text.meaning.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, "$1");
    const { $schema: _, ...json } = z.toJSONSchema(schema, { io: "input" });
    properties[name] =
      status === "default"
        ? {
            const: defaultValue,
            description: `${description} Only the default has its effect yet.`,
          }
        : { ...json, description, examples: [exampleOf(text.example)] };
  }
  return properties;
}

/** A value as TOML spells it, where JSON spells it alike; else the text itself. */
function exampleOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
