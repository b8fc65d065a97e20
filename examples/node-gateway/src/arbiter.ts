// examples/node-gateway/src/arbiter.ts
//
// Which provider gets a request: cam-server's rule (see examples/cam-server/arbiter.h), in short.
import type { Provider } from "./provider.js";

export const strategies = ["cost", "latency", "balanced"] as const;
export type Strategy = (typeof strategies)[number];

export interface Decision {
  provider: Provider;
  cost: number;
  /** At the dearest healthy provider. */
  baselineCost: number;
  expectedMs: number;
}

export class Arbiter {
  readonly decisions: Record<Strategy, number> = { cost: 0, latency: 0, balanced: 0 };
  switches = 0;
  private last: Provider | undefined;

  constructor(readonly providers: Provider[]) {}

  /** Best first; only providers that are healthy now. */
  rankProviders(strategy: Strategy, tokens: number): Decision[] {
    const healthy = this.providers.filter((provider) => provider.isHealthy);
    const baselineCost = Math.max(0, ...healthy.map((provider) => provider.priceOf(tokens)));
    const ranking = healthy.map((provider) => ({
      provider,
      cost: provider.priceOf(tokens),
      baselineCost,
      expectedMs: provider.latencyMs * (1 + provider.inFlight / 64) * (1 + 4 * provider.errorShare),
    }));
    const cheapest = Math.max(1e-9, Math.min(...ranking.map((one) => one.cost)));
    const fastest = Math.max(1e-9, Math.min(...ranking.map((one) => one.expectedMs)));
    const key = {
      cost: (one: Decision) => [one.cost, one.expectedMs],
      latency: (one: Decision) => [one.expectedMs, one.cost],
      balanced: (one: Decision) => [one.cost / cheapest + one.expectedMs / fastest, one.cost],
    }[strategy];
    return ranking.sort((a, b) => {
      const [first = 0, second = 0] = key(a);
      const [otherFirst = 0, otherSecond = 0] = key(b);
      return first - otherFirst || second - otherSecond;
    });
  }

  choose(strategy: Strategy, tokens: number, excluded: Set<Provider>): Decision | undefined {
    const best = this.rankProviders(strategy, tokens).find((one) => !excluded.has(one.provider));
    if (best !== undefined) this.record(strategy, best);
    return best;
  }

  chooseAtPlace(strategy: Strategy, tokens: number, place: number): Decision | undefined {
    const ranking = this.rankProviders(strategy, tokens);
    const chosen = ranking[place % Math.max(1, ranking.length)];
    if (chosen !== undefined) this.record(strategy, chosen);
    return chosen;
  }

  private record(strategy: Strategy, decision: Decision): void {
    this.decisions[strategy]++;
    if (this.last !== undefined && this.last !== decision.provider) this.switches++;
    this.last = decision.provider;
  }
}
