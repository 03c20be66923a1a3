/**
 * An object's SQLite database as the steps that made it (docs/storage.md). A step that was once published
 * never changes: a database of any earlier version gets the steps that it lacks, in order.
 */

/**
 * Brings a database up to date, each step whole or not at all.
 * @param steps step n, from 1, is at index n - 1
 * @param whose whose database it is, for the refusal
 * @throws Error for a database that a newer Postern has written
 */
export function takeSteps(
  storage: DurableObjectStorage,
  steps: readonly string[],
  whose: string,
): void {
  const { sql } = storage;
  sql.exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY) WITHOUT ROWID");
  const { version } = sql
    .exec<{ version: number }>("SELECT coalesce(max(version), 0) AS version FROM migrations")
    .one();
  if (version > steps.length) {
    throw new Error(`the ${whose} database has version ${version}, newer than this Postern`);
  }
  for (const [index, step] of steps.entries()) {
    if (index < version) continue;
    storage.transactionSync(() => {
      sql.exec(step);
      sql.exec("INSERT INTO migrations (version) VALUES (?)", index + 1);
    });
  }
}
