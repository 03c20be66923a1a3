/** Holds a lock until it is killed. Arguments: the file, the mode. */
import { tryLock } from "../../../base/node/file-lock.ts";

const [path = "", mode] = process.argv.slice(2);
if (tryLock(path, mode === "shared" ? "shared" : "exclusive") === undefined) process.exit(1);
console.log("held");
setInterval(() => undefined, 60_000);
