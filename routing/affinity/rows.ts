/** The rows that affinity consists of: where a request carries a key, and where a response hands one out. */

/** Where a request carries a key. `key` is the key's name: a response that hands it out uses the same. */
export type KeySource =
  /** The gateway's own signed cookie. */
  | { readonly from: "cookie" }
  | { readonly from: "client-ip" }
  | { readonly from: "header"; readonly key: string; readonly name: string }
  | { readonly from: "query"; readonly key: string; readonly name: string }
  /** A cookie of the app's own. */
  | { readonly from: "app-cookie"; readonly key: string; readonly name: string }
  /** The first group of a pattern in the path. */
  | {
      readonly from: "path";
      readonly key: string;
      readonly method?: string;
      readonly pattern: RegExp;
    }
  /** The folder of the file that a path names, behind `/file=`. */
  | { readonly from: "path-file"; readonly key: string }
  /** Parts of the path that look like ids. */
  | { readonly from: "path-ids"; readonly key: string }
  /** A part of a list in a header, by its number. */
  | {
      readonly from: "list-header";
      readonly key: string;
      readonly name: string;
      readonly index: number;
    }
  /** A member of a JSON object that is the body. */
  | { readonly from: "body-member"; readonly key: string; readonly name: string }
  /** Folders of uploaded files that a JSON body names. */
  | { readonly from: "body-files"; readonly key: string }
  /** The beginning of a conversation with a language model. */
  | { readonly from: "prompt" };

/** Requests whose responses hand a key out. */
interface Asked {
  readonly method?: string;
  readonly path?: RegExp;
}

/** Where a response hands out a key. */
export type KeyLesson = { readonly key: string } & (
  | { readonly in: "header"; readonly name: string }
  | { readonly in: "set-cookie"; readonly name: string }
  /** Members of a JSON object; a dot leads into an object. */
  | ({ readonly in: "json"; readonly members: readonly string[] } & Asked)
  /** Folders of files that JSON names. */
  | ({ readonly in: "files" } & Asked)
  /** The first group of a pattern in the first bytes of a body of this type. */
  | ({ readonly in: "text"; readonly type: RegExp; readonly pattern: RegExp } & Asked)
);

/** The meaning of one word of the `affinity` list. */
export interface AffinityRows {
  readonly sources: readonly KeySource[];
  readonly lessons: readonly KeyLesson[];
}
