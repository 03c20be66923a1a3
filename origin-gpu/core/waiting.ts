/** The calls that wait at a pool, as its parts know them. */
/** Those that wait for any container. */
export interface Waiting {
  readonly calls: number;
  /** Without the passive ones. */
  readonly activeCalls: number;
  /** Whether calls wait for this container alone; none of these counts above. */
  isAwaited(container: number): boolean;
  /** Whether calls that are not passive are among those. */
  isUseAwaited(container: number): boolean;
}
