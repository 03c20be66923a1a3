/**
 * May a call be sent to an app again? One law for gateway and agent. Each place that sends says how far the
 * call came, as far as it knows, and asks here; none decides by itself. Whether the sender still has the
 * request's body is another question, and not asked here.
 */

/** How far a call came, as the asker knows it. */
export type CallProgress =
  /** Certainly no byte of its request was written to an app. */
  | "not_sent"
  /**
   * Bytes may have been written to an app. A reset connection is such a case: a kernel also resets one when a
   * process dies with bytes unread.
   */
  | "unknown"
  /** An app has its request, or bytes of it. */
  | "started"
  /** The app's response has begun. */
  | "answered";

/** The properties of a call that the law asks for. */
export interface ResendTerms {
  /** In upper case, as RFC 9110, 9.1, compares methods. */
  readonly method: string;
  /** It carries an Idempotency-Key. */
  readonly isKeyed: boolean;
  /** Its response is stored: it came with `Prefer: respond-async`, or its client was sent to a result URL. */
  readonly isDurable: boolean;
  /** Its endpoint says that another run does no harm (`retries`), and that run is due: the one before has ended. */
  readonly isRepeatable?: boolean;
}

/**
 * A call that no app began may be sent. One that may have begun is repeated only where its endpoint says so, or where
 * its method is safe and no promise to run once was given. One whose response began is never repeated: its client may
 * have a part.
 */
const MAY_RESEND: Readonly<Record<CallProgress, Readonly<Record<ResendClass, boolean>>>> = {
  not_sent: { once: true, safe: true, unsafe: true, repeatable: true },
  unknown: { once: false, safe: true, unsafe: false, repeatable: true },
  started: { once: false, safe: true, unsafe: false, repeatable: true },
  answered: { once: false, safe: false, unsafe: false, repeatable: false },
};

/** `once`: keyed or durable, whatever its method. `repeatable`: by the endpoint's word, whatever the call is. */
type ResendClass = "once" | "safe" | "unsafe" | "repeatable";

/** Whether a call may be sent to an app again: the same one, another one, or another box's. */
export function mayResend(progress: CallProgress, terms: ResendTerms): boolean {
  return MAY_RESEND[progress][classOf(terms)];
}

/** RFC 9110, 9.2.1: the client asks for no change of state. */
export function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

function classOf({ method, isKeyed, isDurable, isRepeatable }: ResendTerms): ResendClass {
  if (isRepeatable === true) return "repeatable";
  if (isKeyed || isDurable) return "once";
  return isSafeMethod(method) ? "safe" : "unsafe";
}
