/** The link that a stream came over, as far as responses need it. */
export interface Carrier {
  /** The socket has more than it can send; `whenDrained` calls back when it has not. */
  readonly congested: boolean;
  whenDrained(resume: () => void): void;
}
