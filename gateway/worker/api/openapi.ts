/** The OpenAPI 3.1 document of the API, made of the rows that check its requests. */
import * as z from "zod";
import type { ApiOperation, NamedSchema } from "../../../api/operation.ts";
import { CUSTOM_DOMAIN_PATTERN } from "../../../routing/wire/custom-domains.ts";
import { PROBLEM } from "./problems.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** OpenAPI 3.1's schemas are JSON Schema's (OpenAPI 3.1.1, 4.8.24). */
const COMPONENTS = "#/components/schemas/";

/**
 * @param basePath where the operations' paths begin
 * @param server the gateway's own URL
 * @param open paths that need no token, as path items
 */
export function openApiDocument(
  operations: readonly ApiOperation[],
  basePath: string,
  server: string,
  open: Readonly<Record<string, JsonObject>>,
): JsonObject {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [path, item] of Object.entries(open)) paths[basePath + path] = { ...item };
  for (const row of operations) {
    const item = (paths[basePath + row.path] ??= {});
    item[row.method] = operationObject(row);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Postern",
      version: "1.0.0",
      description:
        "Endpoints, who may call them, and who may change them. Every error is a problem (RFC 9457).",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: server }],
    paths,
    components: {
      schemas: {
        ...componentsOf(
          operations.map(({ body }) => body),
          "input",
        ),
        ...componentsOf(
          [
            ...operations.map(({ response }) => response),
            ...operations.map(({ lines }) => lines),
            PROBLEM,
          ],
          "output",
        ),
      },
      securitySchemes: {
        apiToken: {
          type: "http",
          scheme: "bearer",
          description: "An API token as one value: `ak-….as-…`",
        },
      },
    },
  };
}

function operationObject(row: ApiOperation): JsonObject {
  const { id, tag, summary, description, needs, path, query, body, takesBytes } = row;
  const parameters = [...pathParameters(path), ...queryParameters(query)];
  return {
    operationId: id,
    tags: [tag],
    summary: `${summary} (scope ${needs})`,
    ...(description === undefined ? {} : { description }),
    security: [{ apiToken: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body) } }),
    ...(takesBytes === undefined ? {} : { requestBody: { required: true, content: BYTES } }),
    responses: {
      ...successOf(row),
      default: {
        description: "What went wrong",
        content: { "application/problem+json": { schema: { $ref: COMPONENTS + PROBLEM.name } } },
      },
    },
  };
}

function successOf({ response, lines }: ApiOperation): JsonObject {
  if (lines !== undefined) {
    const schema = { $ref: COMPONENTS + lines.name };
    const description = `${lines.name}s, one a line (JSON Lines)`;
    // OpenAPI 3.1 has no word for a sequence: the schema is a line's.
    return { 200: { description, content: { "application/x-ndjson": { schema } } } };
  }
  if (response === undefined) return { 204: { description: "It is done" } };
  return { [response.status]: { description: response.name, content: contentOf(response) } };
}

/** The request body of an upload. */
const BYTES: JsonObject = { "application/octet-stream": { schema: {} } };

function contentOf({ name }: NamedSchema): JsonObject {
  return { "application/json": { schema: { $ref: COMPONENTS + name } } };
}

/** Schemas of path parameters. Another value is `parameter_invalid`, or `not_found` where it is a version. */
const PATH_SCHEMAS: Readonly<Record<string, JsonObject>> = {
  domain: { pattern: CUSTOM_DOMAIN_PATTERN.source },
  hash: { pattern: "^[0-9a-f]{64}$" },
  name: { pattern: "^[A-Za-z0-9._-]{1,64}$" },
  version: { pattern: "^[1-9][0-9]{0,8}$" },
};

function pathParameters(path: string): JsonObject[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string", ...PATH_SCHEMAS[name] },
  }));
}

function queryParameters(query: z.ZodObject | undefined): JsonObject[] {
  return Object.entries(query?.shape ?? {}).map(([name, schema]) => {
    const {
      $schema: _,
      description,
      ...json
    } = z.toJSONSchema(schema as z.ZodType, {
      io: "input",
    });
    const required = !(schema as z.ZodType).safeParse(undefined).success;
    return { name, in: "query", required, description, schema: json };
  });
}

/** Schemas under their names; where one holds another it refers to it. */
function componentsOf(
  named: readonly (NamedSchema | undefined)[],
  io: "input" | "output",
): Readonly<Record<string, JsonObject>> {
  const registry = z.registry<{ id: string }>();
  for (const entry of named) {
    if (entry !== undefined) registry.add(entry.schema, { id: entry.name });
  }
  const uri = (id: string) => COMPONENTS + id;
  const { schemas } = z.toJSONSchema(registry, { io, uri });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $id: _id, $schema: _schema, ...json }]) => [id, json]),
  );
}
