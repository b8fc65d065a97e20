// examples/node-gateway/src/provider.ts
//
// One provider: its price, the weighted mean of its latency and errors, a circuit breaker (opens after five failures in a
// row, for a second), and calls over kept-alive sockets, at most 64 of them.
import { readFileSync } from "node:fs";
import * as http from "node:http";
import { traceparentOfACall } from "./trace_context.js";
import { UsageError } from "./fields.js";

export interface ProviderConfig {
  name: string;
  port: number;
  price_per_1k: number;
}

export interface Question {
  prompt: string;
  prompt_bytes: number;
  max_tokens: number;
  candidates: string[];
}

export interface ProviderAnswer {
  answer: string;
  text: string;
  tokens: number;
  cost: number;
  latency_ms: number;
}

export class CallError extends Error {
  constructor(message: string, readonly status = 0) {
    super(message);
  }
}

const weightOfNewest = 0.1;
const failuresToOpen = 5;
const openForMs = 1000;

export class Provider {
  private measuredMs = 0;
  private failuresInARow = 0;
  private openUntil = 0;
  private trialUnderWay = false;
  readonly agent = new http.Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64, timeout: 30_000 });
  errorShare = 0;
  inFlight = 0;
  calls = 0;
  failed = 0;
  tokens = 0;
  cost = 0;

  constructor(readonly config: ProviderConfig, private readonly deadlineMs: number) {}

  /** What an unmeasured provider is assumed to take is optimistic, so that each is tried before it is judged. */
  get latencyMs(): number {
    return this.measuredMs || 1;
  }

  get breaker(): "closed" | "open" | "half-open" {
    if (this.openUntil === 0) return "closed";
    return performance.now() < this.openUntil ? "open" : "half-open";
  }

  get isHealthy(): boolean {
    return this.breaker === "closed" || (this.breaker === "half-open" && !this.trialUnderWay);
  }

  priceOf(tokens: number): number {
    return (tokens / 1000) * this.config.price_per_1k;
  }

  /** `trace`: the trace id it is asked for. With another agent than the pool's, the connection is that agent's affair. Throws CallError. */
  async ask(question: Question, trace: string, agent: http.Agent = this.agent): Promise<ProviderAnswer> {
    if (!this.isHealthy) throw new CallError("circuit breaker open");
    this.trialUnderWay = this.breaker === "half-open";
    this.inFlight++;
    const begin = performance.now();
    try {
      const { status, body } = await this.post(JSON.stringify(question), traceparentOfACall(trace), agent);
      if (status !== 200) throw new CallError(`answered ${status}`, status);
      const json = JSON.parse(body) as { answer: string; text: string; tokens: number };
      if (typeof json.answer !== "string" || typeof json.tokens !== "number") throw new CallError("answered something else than agreed", status);
      const latency_ms = performance.now() - begin;
      const cost = this.priceOf(json.tokens);
      this.measuredMs = this.measuredMs === 0 ? latency_ms : this.measuredMs + weightOfNewest * (latency_ms - this.measuredMs);
      this.settle(true);
      this.tokens += json.tokens;
      this.cost += cost;
      return { answer: json.answer, text: json.text, tokens: json.tokens, cost, latency_ms };
    } catch (error) {
      this.settle(false);
      if (error instanceof CallError) throw error;
      throw new CallError(error instanceof Error ? error.message : String(error));
    }
  }

  private settle(success: boolean): void {
    this.inFlight--;
    this.calls++;
    this.trialUnderWay = false;
    this.errorShare += weightOfNewest * ((success ? 0 : 1) - this.errorShare);
    if (success) {
      this.failuresInARow = 0;
      this.openUntil = 0;
      return;
    }
    this.failed++;
    this.failuresInARow++;
    if (this.openUntil !== 0 || this.failuresInARow >= failuresToOpen) this.openUntil = performance.now() + openForMs;
  }

  private post(body: string, traceparent: string, agent: http.Agent): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          host: "127.0.0.1", port: this.config.port, path: "/v1/complete", method: "POST", agent, timeout: this.deadlineMs,
          headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), traceparent },
        },
        (response) => {
          let received = "";
          response.setEncoding("utf8");
          response.on("data", (part: string) => (received += part));
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body: received }));
          response.on("error", reject);
        },
      );
      request.on("timeout", () => request.destroy(new CallError("no answer within the deadline")));
      request.on("error", reject);
      request.end(body);
    });
  }

  figures(): object {
    return {
      name: this.config.name, port: this.config.port, price_per_1k: this.config.price_per_1k, latency_ms: this.latencyMs,
      error_share: this.errorShare, breaker: this.breaker, in_flight: this.inFlight, calls: this.calls, failed: this.failed,
      tokens: this.tokens, cost: this.cost,
    };
  }
}

/** The file that `cam-providers --write-catalog` writes. Throws UsageError. */
export function readCatalog(path: string): ProviderConfig[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`${path}: ${error instanceof SyntaxError ? "is not JSON" : "cannot be read"}`);
  }
  if (!Array.isArray(json) || json.length === 0) throw new UsageError(`${path}: must be a JSON array of providers`);
  return json.map((entry: Partial<ProviderConfig> | null, index) => {
    if (typeof entry?.name !== "string" || !Number.isInteger(entry.port) || typeof entry.price_per_1k !== "number")
      throw new UsageError(`${path}: provider ${index + 1} needs name, port and price_per_1k`);
    return { name: entry.name, port: entry.port as number, price_per_1k: entry.price_per_1k };
  });
}

export const defaultCatalog: ProviderConfig[] = [
  { name: "thrifty", port: 18101, price_per_1k: 0.4 },
  { name: "steady", port: 18102, price_per_1k: 1.0 },
  { name: "swift", port: 18103, price_per_1k: 2.5 },
];
