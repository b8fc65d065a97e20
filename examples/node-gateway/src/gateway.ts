// examples/node-gateway/src/gateway.ts
//
// The endpoints, as cam-server has them: /arbitrate, /collaborate, /health, /stats, /faults.
import * as http from "node:http";
import { AnswerCache } from "./answer_cache.js";
import { Arbiter, strategies, type Decision, type Strategy } from "./arbiter.js";
import { FaultBoard } from "./faults.js";
import { BadRequest, Fields, parseJson } from "./fields.js";
import { CallError, type Provider, type ProviderAnswer } from "./provider.js";
import { traceOf } from "./trace_context.js";

const maxBodyBytes = 64 * 1024;
const answerTokens = 64;
const conviction = 1.5;

/** Another status than 200, with a sentence for the client. */
class Refusal extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

function readBody(request: http.IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    request.on("data", (part: Buffer) => {
      size += part.length;
      if (size <= maxBodyBytes) parts.push(part);
    });
    request.on("end", () => {
      if (size > maxBodyBytes) reject(new Refusal(413, "the body is larger than this server takes"));
      else resolve(Buffer.concat(parts).toString("utf8"));
    });
    request.on("error", reject);
  });
}

/** Answers and the weight behind each, strongest first; equals in the order of their text. */
function tallyVotes(votes: { answer: string; weight: number }[]): [string, number][] {
  const weights = new Map<string, number>();
  for (const vote of votes) if (vote.answer !== "") weights.set(vote.answer, (weights.get(vote.answer) ?? 0) + vote.weight);
  return [...weights].sort(([answer, weight], [other, otherWeight]) => otherWeight - weight || (answer < other ? -1 : 1));
}

export class Gateway {
  readonly faults = new FaultBoard();
  readonly server: http.Server;
  private readonly arbiter: Arbiter;
  private readonly counters = {
    arbitrations: 0, answered: 0, from_cache: 0, failed: 0, retries: 0, failovers: 0, cost: 0, baseline_cost: 0,
    collaborations: 0, agreed: 0, rounds: 0, http_requests: 0,
  };

  constructor(private readonly providers: Provider[], private readonly cache: AnswerCache) {
    this.arbiter = new Arbiter(providers);
    this.server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => void this.handle(request, response));
  }

  /** Asks every provider for one token now and then, so that a latency measured in a bad moment does not stick. */
  startHealthChecks(everyMs: number): void {
    const check = () => {
      for (const provider of this.providers) {
        // A failure has been counted where it counts: at the provider.
        provider.ask({ prompt: "", prompt_bytes: 4, max_tokens: 1, candidates: [] }, traceOf(undefined)).catch(() => {});
      }
    };
    setInterval(check, everyMs).unref();
  }

  private async handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    this.counters.http_requests++;
    let status = 200;
    let json: object;
    try {
      json = await this.route(request);
    } catch (error) {
      status = error instanceof Refusal ? error.status : error instanceof BadRequest ? 400 : 500;
      json = { error: error instanceof Error ? error.message : String(error) };
    }
    const body = JSON.stringify(json);
    response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    response.end(body);
  }

  private async route(request: http.IncomingMessage): Promise<object> {
    const url = new URL(request.url ?? "/", "http://gateway");
    const isPost = request.method === "POST";
    const body = isPost ? await readBody(request) : "";
    if (!isPost && request.method !== "GET") throw new Refusal(405, "takes GET and POST");
    const fields = () => (isPost ? Fields.ofBody(body) : Fields.ofQuery(url.searchParams));
    switch (url.pathname) {
      case "/arbitrate":
        return this.arbitrate(fields(), traceOf(request.headers.traceparent));
      case "/collaborate":
        return this.collaborate(fields(), traceOf(request.headers.traceparent));
      case "/health":
        return this.health();
      case "/stats":
        return this.stats();
      case "/faults":
        if (isPost) this.faults.setFromJson(parseJson(body));
        return this.faults.toJson();
      default:
        throw new Refusal(404, `no such path: ${url.pathname}`);
    }
  }

  private async arbitrate(fields: Fields, trace: string): Promise<object> {
    const prompt = fields.text("prompt", "");
    if (fields.has("prompt_size") && prompt !== "") throw new BadRequest("give prompt or prompt_size, not both");
    const promptBytes = fields.whole("prompt_size", Buffer.byteLength(prompt), 0, 10_000_000);
    const maxTokens = fields.whole("max_tokens", answerTokens, 1, 4096);
    const named = fields.text("strategy", "balanced");
    const strategy = strategies.find((one) => one === named);
    if (strategy === undefined) throw new BadRequest("strategy must be cost, latency or balanced");
    const mayCache = fields.truth("cache", true) && prompt !== "";
    fields.expectNoMore();
    if (promptBytes === 0) throw new BadRequest("prompt or prompt_size is missing");

    this.counters.arbitrations++;
    this.faults.onRequest();
    const key = `${strategy}/${maxTokens}/${prompt}`;
    const cached = mayCache ? this.cache.find(key) : undefined;
    if (cached !== undefined) {
      this.counters.from_cache++;
      return { ...cached, cached: true, cost: 0 };
    }
    const question = { prompt, prompt_bytes: promptBytes, max_tokens: maxTokens, candidates: [] };
    const answer = await this.askUntilAnswered(strategy, Math.ceil(promptBytes / 4) + maxTokens, (decision, agent) => decision.provider.ask(question, trace, agent));
    if (mayCache) this.cache.put(key, answer);
    return answer;
  }

  /** One more try after a server error, then the next best, until no healthy provider is left. */
  private async askUntilAnswered(
    strategy: Strategy, tokens: number, ask: (decision: Decision, agent?: http.Agent) => Promise<ProviderAnswer>,
  ): Promise<object> {
    const tried = new Set<Provider>();
    let agentToForget = this.faults.agentToForget();
    let attempts = 0;
    let lastError = "no provider is healthy";
    for (let decision = this.arbiter.choose(strategy, tokens, tried); decision !== undefined; decision = this.arbiter.choose(strategy, tokens, tried)) {
      tried.add(decision.provider);
      for (let mayRetry = true; ; mayRetry = false) {
        attempts++;
        try {
          const agent = agentToForget;
          agentToForget = undefined;
          const answer = await ask(decision, agent);
          const baseline = decision.cost > 0 ? (decision.baselineCost * answer.cost) / decision.cost : decision.baselineCost;
          this.counters.answered++;
          this.counters.cost += answer.cost;
          this.counters.baseline_cost += baseline;
          return {
            provider: decision.provider.config.name, strategy, ...answer, baseline_cost: baseline, expected_ms: decision.expectedMs,
            attempts, failovers: tried.size - 1, cached: false,
          };
        } catch (error) {
          if (!(error instanceof CallError)) throw error;
          lastError = `no provider answered; the last: ${decision.provider.config.name}: ${error.message}`;
          if (error.status < 500 || !mayRetry) break;
          this.counters.retries++;
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      }
      this.counters.failovers++;
    }
    this.counters.failed++;
    throw new Refusal(tried.size === 0 ? 503 : 502, lastError);
  }

  /** cam-server's rule of consensus: see examples/cam-server/collaborate.h. */
  private async collaborate(fields: Fields, trace: string): Promise<object> {
    const question = fields.text("question", "");
    const agents = fields.whole("agents", 5, 2, 32);
    const maxRounds = fields.whole("max_rounds", 4, 1, 10);
    fields.expectNoMore();
    if (question === "") throw new BadRequest("question is missing");
    this.counters.collaborations++;
    this.faults.onRequest();
    let candidates: string[] = [];
    for (let round = 1; ; round++) {
      this.counters.rounds++;
      const proposals = await Promise.all(Array.from({ length: agents }, (_, agent) => this.propose(question, agent, candidates, trace)));
      const heard = tallyVotes(proposals);
      const votes = proposals.map((own) => {
        const [strongest, weight] = heard[0] ?? ["", 0];
        const ownWeight = heard.find(([answer]) => answer === own.answer)?.[1] ?? 0;
        return weight > conviction * ownWeight || own.answer === "" ? { ...own, answer: strongest } : own;
      });
      const result = tallyVotes(votes);
      const total = votes.reduce((sum, vote) => sum + vote.weight, 0);
      const [winner, support] = result[0] ?? ["", 0];
      if (winner === "") throw new Refusal(502, "no agent got an answer from its provider");
      const agreed = support > total / 2;
      if (agreed) this.counters.agreed++;
      if (agreed || round === maxRounds) return { answer: winner, agreed, support: support / total, agents, rounds: round, votes };
      candidates = result.map(([answer]) => answer);
    }
  }

  private async propose(question: string, agent: number, candidates: string[], trace: string): Promise<{ agent: number; answer: string; provider: string; weight: number }> {
    const bytes = Buffer.byteLength(question);
    const decision = this.arbiter.chooseAtPlace("balanced", Math.floor(bytes / 4) + answerTokens, agent);
    if (decision === undefined) return { agent, answer: "", provider: "", weight: 0 };
    const provider = decision.provider.config.name;
    try {
      const { answer } = await decision.provider.ask({ prompt: question, prompt_bytes: bytes, max_tokens: answerTokens, candidates }, trace);
      return { agent, answer, provider, weight: 1 - decision.provider.errorShare };
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      return { agent, answer: "", provider, weight: 0 };
    }
  }

  private health(): object {
    const healthy = this.providers.filter((provider) => provider.isHealthy).length;
    if (healthy === 0) throw new Refusal(503, "no provider is healthy");
    return { status: "ok", healthy_providers: healthy };
  }

  private stats(): object {
    const { arbitrations, collaborations, agreed, rounds, http_requests, ...rest } = this.counters;
    return {
      pid: process.pid, epoch_ns: Date.now() * 1e6, requests: this.faults.requests, http: { requests: http_requests },
      arbitration: { requests: arbitrations, ...rest, decisions: this.arbiter.decisions, switches: this.arbiter.switches },
      collaboration: { requests: collaborations, agreed, rounds },
      cache: { entries: this.cache.size, capacity: this.cache.capacity, hits: this.cache.hits, misses: this.cache.misses, evictions: this.cache.evictions },
      providers: this.providers.map((provider) => provider.figures()), faults: this.faults.toJson(),
    };
  }
}
