/** The keys before the first `[[endpoint]]`. */
import { nameInUrl } from "../values.ts";
import { key } from "./key.ts";

export const APP_KEYS = {
  app: key(nameInUrl(), {
    default: "required",
    meaning:
      "The app's name. It becomes a part of URLs, so it has a letter or digit. Names of workspaces and environments have the same form.",
    example: '"hello"',
  }),
  workspace: key(nameInUrl(), {
    default: "`local`",
    meaning: "The tenant that the app belongs to: the first part of each of its URLs.",
    example: '"ecorp"',
  }),
  environment: key(nameInUrl(), {
    default: "`main`",
    meaning:
      "The environment of the workspace. Another one than `main` shows in the URL: `<workspace>-<environment>--…`. `--env` on the command line wins.",
    example: '"staging"',
  }),
};
