/** The link that a stream came over, as far as calls need it. */
export interface Carrier {
  /** The socket has more than it can send; `whenDrained` tells when it has not. */
  readonly congested: boolean;
  whenDrained(resume: () => void): void;
}
