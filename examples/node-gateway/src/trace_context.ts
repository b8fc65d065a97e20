// examples/node-gateway/src/trace_context.ts
//
// Which trace a request is of (W3C Trace Context, the header `traceparent`): the caller's, or a new one. Calls to providers
// go out with it, so a provider that is recorded shows its part under the caller's.
import { randomBytes } from "node:crypto";

const form = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The trace id that the header names, or a new one. */
export function traceOf(header: string | string[] | undefined): string {
  const found = typeof header === "string" ? form.exec(header) : null;
  return found?.[1] ?? randomBytes(16).toString("hex");
}

/** What one call goes out with: of that trace, with a span id of its own. */
export function traceparentOfACall(trace: string): string {
  return `00-${trace}-${randomBytes(8).toString("hex")}-01`;
}
