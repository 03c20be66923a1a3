/**
 * The user that apps run as where the agent is root. Its processes get the user's groups, and their files a place of
 * their own beside the state directory, which the user can't enter. In that place the agent trusts no link: what the
 * user may write to is written and removed as that user.
 */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { chmod, chown, lchown, lstat, mkdir, readdir, rm, rmdir } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Result, err, ok } from "../base/result.ts";

const run = promisify(execFile);

/** Files of Postern that an app's process reads: the launcher, and what serves apps in Python and TypeScript. */
const OWN_FILES = [
  "containers/launch.sh",
  "python/serve.py",
  "python/postern_container/main.py",
  "module/serve.ts",
].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** To pass, but not to list: the folder of each user is in it. */
const PASSABLE_MODE = 0o711;
/** For the user's group to read; only the agent writes. */
const SHARED_MODE = 0o750;
const OWN_MODE = 0o700;

export interface AppUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Command words before a command that is to run as this user. */
  readonly prefix: readonly string[];
  /** HOME of its processes: the user's own, or a folder in `directory` where the user has none. */
  readonly home: string;
  /** Where the agent puts the copies and environments of this user's apps. The user can't write in it. */
  readonly directory: string;
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/**
 * Finds the user, proves that processes can run as it, and makes its place beside the state directory.
 * @param stateDirectory absolute; it need not be there yet
 * @returns one line about the reason where it can't be
 */
export async function openAppUser(
  name: string,
  stateDirectory: string,
): Promise<Result<AppUser, string>> {
  if (process.getuid?.() !== 0) return err("only root can run apps as another user");
  const account = await accountOf(name);
  if (account === undefined) return err(`there is no user "${name}" on this machine`);
  if (account.uid === 0) return err(`"${name}" is root, who can read everything`);
  const setpriv = programOnPath("setpriv");
  if (setpriv === undefined) return err("it needs setpriv, of the package util-linux");
  const ids = [`--reuid=${account.uid}`, `--regid=${account.gid}`, "--init-groups"];
  const prefix = [setpriv, ...ids, "--"];
  const directory = join(`${stateDirectory}-apps`, account.name);
  const proven = await prove(prefix, { account, directory, stateDirectory });
  if (!proven.ok) return proven;
  const { uid, gid } = account;
  return ok({ name: account.name, uid, gid, prefix, home: proven.value, directory });
}

/** The command, to be run as this user; as it is without one. */
export function commandAs(user: AppUser | undefined, command: readonly string[]): string[] {
  return [...(user?.prefix ?? []), ...command];
}

/**
 * Gives the user a directory with everything in it. Only for one that the user could not enter so far: else the user
 * could put a link in the way.
 */
export async function giveTo(user: AppUser, directory: string): Promise<void> {
  for (const { parentPath, name } of await readdir(directory, {
    recursive: true,
    withFileTypes: true,
  })) {
    await lchown(join(parentPath, name), user.uid, user.gid);
  }
  await lchown(directory, user.uid, user.gid);
}

/**
 * Removes a directory whose parent the agent alone can write to, if it is there. The user's own is removed as the user,
 * and what a process of the user holds back stays.
 */
export async function removeTree(directory: string, user?: AppUser): Promise<void> {
  const owner = (await lstat(directory).catch(() => undefined))?.uid;
  if (user === undefined || owner !== user.uid) {
    await rm(directory, { recursive: true, force: true });
    return;
  }
  const script = 'chmod -R u+rwX -- "$0"; rm -rf -- "$0"';
  // Its own exit says that the directory itself is left, which is the agent's to remove.
  await runAs(user.prefix, ["/bin/sh", "-c", script, directory]).catch(() => undefined);
  await rmdir(directory).catch(() => undefined);
}

/** @returns the HOME of the user's processes */
async function prove(
  prefix: readonly string[],
  place: { readonly account: Account; readonly directory: string; readonly stateDirectory: string },
): Promise<Result<string, string>> {
  const { account, directory, stateDirectory } = place;
  const { name, home } = account;
  const can = async (test: string, ...paths: string[]): Promise<boolean> =>
    await runAs(prefix, ["/bin/sh", "-c", test, ...paths]).then(
      () => true,
      () => false,
    );
  try {
    await runAs(prefix, ["/bin/sh", "-c", ":"]);
  } catch (error) {
    return err(`no process can run as ${name}: ${reasonOf(error)}`);
  }
  const areReadable = '[ -x "$0" ] && for file; do [ -r "$file" ] || exit 1; done';
  if (!(await can(areReadable, process.execPath, ...OWN_FILES))) {
    const own = dirname(dirname(OWN_FILES[0] ?? ""));
    return err(`${name} can't read Postern's own files in ${own}; install it elsewhere`);
  }
  if (await can('[ -x "$0" ]', stateDirectory)) {
    return err(`${name} can enter ${stateDirectory}, where secrets are; chmod 700 it`);
  }
  if (!(await makePlace(account, directory))) {
    return err(`${dirname(directory)} is there and is not a directory of root's`);
  }
  if (!(await can('cd "$0"', directory))) {
    return err(`${name} can't reach ${directory}; choose another --state, e.g. /var/lib/postern`);
  }
  return ok((await can('[ -d "$0" ] && [ -w "$0" ]', home)) ? home : join(directory, "home"));
}

/** False where somebody else has made the outermost directory. */
async function makePlace({ uid, gid }: Account, directory: string): Promise<boolean> {
  const outer = dirname(directory);
  await mkdir(outer, { recursive: true });
  const stats = await lstat(outer);
  if (!stats.isDirectory() || stats.uid !== 0) return false;
  await chmod(outer, PASSABLE_MODE);
  for (const name of ["", "copies", "environments"]) {
    await make(join(directory, name), SHARED_MODE, 0, gid);
  }
  for (const name of ["home", "no-code"]) await make(join(directory, name), OWN_MODE, uid, gid);
  return true;
}

/** By chmod, since the mode of mkdir depends on the umask. */
async function make(path: string, mode: number, uid: number, gid: number): Promise<void> {
  await mkdir(path, { recursive: true });
  await chown(path, uid, gid);
  await chmod(path, mode);
}

/** By getent, which asks all sources of users that the machine has. */
async function accountOf(name: string): Promise<Account | undefined> {
  const line = await run("getent", ["passwd", "--", name]).then(
    ({ stdout }) => stdout.trim(),
    () => "",
  );
  const [found = "", , uid, gid, , home = ""] = line.split(":");
  if (found === "") return undefined;
  return { name: found, uid: Number(uid), gid: Number(gid), home };
}

async function runAs(prefix: readonly string[], command: readonly string[]): Promise<void> {
  const [file = "", ...args] = [...prefix, ...command];
  await run(file, args, { cwd: "/" });
}

function programOnPath(name: string): string | undefined {
  const paths = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function reasonOf(error: unknown): string {
  const stderr = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
  return stderr === "" ? String(error) : stderr;
}
