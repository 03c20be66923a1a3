/** The calls of tokens that may have so many on this box at a time, from their arrival until their places are free. Pure. */
export class TokenCalls<Call extends object> {
  readonly #tokens = new Map<Call, string>();
  readonly #counts = new Map<string, number>();

  /** A call has come. @returns whether its token may have it, besides those that it has */
  enter(call: Call, token: string, most: number): boolean {
    const count = this.#counts.get(token) ?? 0;
    if (count >= most) return false;
    this.#counts.set(token, count + 1);
    this.#tokens.set(call, token);
    return true;
  }

  /** A call is over. One that did not enter changes nothing. */
  leave(call: Call): void {
    const token = this.#tokens.get(call);
    if (token === undefined) return;
    this.#tokens.delete(call);
    const count = (this.#counts.get(token) ?? 0) - 1;
    if (count > 0) this.#counts.set(token, count);
    else this.#counts.delete(token);
  }
}
