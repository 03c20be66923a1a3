/** A promise for races: it rejects with the signal's reason when the signal aborts, and settles in no other way. */
export async function rejectedBy(signal: AbortSignal | undefined): Promise<never> {
  return await new Promise((_, reject) => {
    const onAbort = (): void => reject(signal?.reason as Error);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
