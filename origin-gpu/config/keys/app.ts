/** The keys before the first `[[endpoint]]`. */
import { nameInUrl } from "../values.ts";
import { available } from "./key.ts";

export const APP_KEYS = {
  app: available(nameInUrl(), {
    default: "required",
    meaning:
      "The app's name. Names of apps, environments and workspaces: 1 to 64 ASCII letters, digits, dashes, dots and underscores, a letter or digit among them.",
    example: '"hello"',
  }),
  workspace: available(nameInUrl(), {
    default: "`local`",
    meaning: "The first part of every URL.",
    example: '"ecorp"',
  }),
  environment: available(nameInUrl(), {
    default: "`main`",
    meaning:
      "Another one than `main` shows in the URL: `<workspace>-<environment>--…`. `--env` on the command line wins.",
    example: '"staging"',
  }),
};
