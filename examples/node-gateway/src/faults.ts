// examples/node-gateway/src/faults.ts
//
// Faults to switch on while the gateway runs, each with one function that a stack will name, each counting exactly what it
// did. A fault strikes a share of the requests, evenly spread; switching it off keeps what it has taken.
import * as http from "node:http";
import { BadRequest, UsageError } from "./fields.js";

interface FaultKind {
  what: string;
  innocent: boolean;
  amount: string;
  cap: string;
  defaults: { amount: number; share: number; cap: number };
}

const kinds = {
  "heap-leak": {
    what: "an object is kept for each struck request and never let go", innocent: false, amount: "bytes", cap: "cap_bytes",
    defaults: { amount: 2048, share: 0.25, cap: 2 ** 30 },
  },
  "unclosed-connections": {
    what: "a connection to a provider is used once and never closed (of requests that call one)", innocent: false,
    amount: "sockets", cap: "cap_sockets", defaults: { amount: 1, share: 0.01, cap: 500 },
  },
  "bounded-cache": {
    what: "a cache fills slowly to its capacity, then evicts", innocent: true, amount: "bytes", cap: "capacity_entries",
    defaults: { amount: 1024, share: 1, cap: 20_000 },
  },
} satisfies Record<string, FaultKind>;
export type FaultName = keyof typeof kinds;

interface Setting {
  on: boolean;
  amount: number;
  share: number;
  cap: number;
}

class Fault {
  readonly setting: Setting;
  readonly switched: { on: boolean; epoch_ns: number; request: number }[] = [];
  private turn = 0;
  strikes = 0;
  bytesHeld = 0;

  constructor(readonly kind: FaultKind) {
    this.setting = { on: false, ...kind.defaults };
  }

  set(setting: Setting, request: number): void {
    if (setting.on !== this.setting.on) {
      this.switched.push({ on: setting.on, epoch_ns: Date.now() * 1e6, request });
      if (this.switched.length > 32) this.switched.shift();
      this.turn = 0;
    }
    Object.assign(this.setting, setting);
  }

  isDue(): boolean {
    if (!this.setting.on) return false;
    const turn = this.turn++;
    return Math.floor((turn + 1) * this.setting.share) > Math.floor(turn * this.setting.share);
  }

  toJson(): object {
    const { on, amount, share, cap } = this.setting;
    return {
      on, innocent: this.kind.innocent, [this.kind.amount]: amount, share, [this.kind.cap]: cap, strikes: this.strikes,
      bytes_held: this.bytesHeld, switched: this.switched,
    };
  }
}

const bytesOfElement = 8;
const everythingRemembered: { request: number; data: number[] }[] = [];

/** An array of small integers, which V8 keeps on its own heap at 8 bytes each; a Buffer would be outside it. */
function rememberForever(request: number, bytes: number): void {
  everythingRemembered.push({ request, data: new Array<number>(bytes / bytesOfElement).fill(request) });
}

const socketsLeftOpen: http.Agent[] = [];

/** An agent of its own that keeps its one socket alive and that nobody will destroy. */
function openAndForget(): http.Agent {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1, keepAliveMsecs: 3_600_000 });
  socketsLeftOpen.push(agent);
  return agent;
}

const recentAnswers = new Map<number, string>();

/** Bytes more, or fewer, than before. */
function cacheWithinBound(request: number, bytes: number, capacity: number): number {
  recentAnswers.set(request, Buffer.alloc(bytes, "a").toString("latin1"));
  let change = bytes;
  for (const [key, answer] of recentAnswers) {
    if (recentAnswers.size <= capacity) break;
    recentAnswers.delete(key);
    change -= answer.length;
  }
  return change;
}

export class FaultBoard {
  requests = 0;
  private readonly faults = new Map(Object.entries(kinds).map(([name, kind]) => [name, new Fault(kind)] as const));

  private fault(name: FaultName): Fault {
    return this.faults.get(name)!;
  }

  /** Called once a request: strikes what is due. */
  onRequest(): void {
    const request = ++this.requests;
    const leak = this.fault("heap-leak");
    const bytes = Math.max(1, Math.floor(leak.setting.amount / bytesOfElement)) * bytesOfElement;
    if (leak.isDue() && leak.bytesHeld + bytes <= leak.setting.cap) {
      rememberForever(request, bytes);
      leak.strikes++;
      leak.bytesHeld += bytes;
    }
    const cache = this.fault("bounded-cache");
    if (cache.isDue()) {
      cache.bytesHeld += cacheWithinBound(request, cache.setting.amount, cache.setting.cap);
      cache.strikes++;
    }
  }

  /** For a request that is about to call a provider: the agent whose connection will be left open, if it is its turn. */
  agentToForget(): http.Agent | undefined {
    const fault = this.fault("unclosed-connections");
    if (!fault.isDue() || fault.strikes >= fault.setting.cap) return undefined;
    fault.strikes++;
    return openAndForget();
  }

  /** The agents' sockets that are really open, idle ones and ones in use. */
  private socketsOpen(): number {
    const count = (sockets: NodeJS.ReadOnlyDict<unknown[]>) => Object.values(sockets).reduce((sum, list) => sum + (list?.length ?? 0), 0);
    return socketsLeftOpen.reduce((sum, agent) => sum + count(agent.sockets) + count(agent.freeSockets), 0);
  }

  /** {"fault": "heap-leak", "on": true, "bytes": 2048, "share": 0.25} or an array of such: all or none are set. */
  setFromJson(json: unknown): void {
    const changes = (Array.isArray(json) ? json : [json]).map((entry: unknown) => {
      const values = typeof entry === "object" && entry !== null ? { ...(entry as Record<string, unknown>) } : {};
      const name = values["fault"];
      const fault = typeof name === "string" ? this.faults.get(name) : undefined;
      if (fault === undefined) throw new BadRequest(`no fault '${String(name)}' (${[...this.faults.keys()].join(", ")})`);
      const setting: Setting = { on: true, ...fault.kind.defaults };
      for (const [key, value] of Object.entries(values)) {
        if (key === "fault") continue;
        if (key === "on") {
          if (typeof value !== "boolean") throw new BadRequest(`${String(name)}: "on" must be true or false`);
          setting.on = value;
          continue;
        }
        const field = key === fault.kind.amount ? "amount" : key === fault.kind.cap ? "cap" : key === "share" ? "share" : undefined;
        if (field === undefined) throw new BadRequest(`${String(name)}: "${key}" is not on, ${fault.kind.amount}, share or ${fault.kind.cap}`);
        const most = field === "share" ? 1 : field === "amount" ? 64 * 2 ** 20 : 1e15;
        if (typeof value !== "number" || !(value >= 0 && value <= most)) throw new BadRequest(`${String(name)}: "${key}" must be a number from 0 to ${most}`);
        setting[field] = field === "share" ? value : Math.floor(value);
      }
      return { fault, setting };
    });
    for (const { fault, setting } of changes) fault.set(setting, this.requests);
  }

  /** "heap-leak" or "heap-leak=2048:0.2:1000000" (amount:share:cap). Throws UsageError. */
  setFromText(text: string): void {
    const [name = "", numbers] = text.split("=", 2);
    const fault = this.faults.get(name);
    if (fault === undefined) throw new UsageError(`--fault ${text}: no fault '${name}' (${[...this.faults.keys()].join(", ")})`);
    const parts = numbers === undefined ? [] : numbers.split(":");
    if (parts.length > 3 || parts.some((part) => !/^\d+(\.\d+)?$/.test(part))) throw new UsageError(`--fault ${text}: numbers must be amount:share:cap`);
    const keys = [fault.kind.amount, "share", fault.kind.cap];
    try {
      this.setFromJson({ fault: name, ...Object.fromEntries(parts.map((part, index) => [keys[index], Number(part)])) });
    } catch (error) {
      throw error instanceof BadRequest ? new UsageError(`--fault ${text}: ${error.message}`) : error;
    }
  }

  toJson(): Record<string, object> {
    const json = Object.fromEntries([...this.faults].map(([name, fault]) => [name, fault.toJson()]));
    Object.assign(json["unclosed-connections"]!, { sockets_left_open: this.socketsOpen() });
    Object.assign(json["bounded-cache"]!, { entries: recentAnswers.size });
    return json;
  }

  static help(): string {
    return Object.entries(kinds)
      .map(([name, kind]) => {
        const { amount, share, cap } = kind.defaults;
        return `  ${name}=${amount}:${share}:${cap}  (${kind.amount}, share, ${kind.cap})${kind.innocent ? "  innocent" : ""}\n      ${kind.what}`;
      })
      .join("\n");
  }
}
