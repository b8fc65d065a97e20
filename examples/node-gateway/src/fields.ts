// examples/node-gateway/src/fields.ts
//
// The fields of a request, from a query or a JSON object, each checked, with one sentence for what is wrong.

/** What the client did wrong; becomes a 400. */
export class BadRequest extends Error {}

/** What the user typed wrong; becomes one line and exit code 2. */
export class UsageError extends Error {}

export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new BadRequest("the body is not JSON");
  }
}

export class Fields {
  private constructor(private readonly values: Map<string, unknown>, private readonly fromQuery: boolean) {}

  static ofQuery(query: URLSearchParams): Fields {
    return new Fields(new Map(query.entries()), true);
  }

  static ofBody(body: string): Fields {
    const json = body === "" ? {} : parseJson(body);
    if (typeof json !== "object" || json === null || Array.isArray(json)) throw new BadRequest("the body must be a JSON object");
    return new Fields(new Map(Object.entries(json)), false);
  }

  private take(name: string): unknown {
    const value = this.values.get(name);
    this.values.delete(name);
    return value;
  }

  has(name: string): boolean {
    return this.values.has(name);
  }

  text(name: string, otherwise: string): string {
    const value = this.take(name) ?? otherwise;
    if (typeof value !== "string") throw new BadRequest(`${name} must be a text`);
    return value;
  }

  whole(name: string, otherwise: number, least: number, most: number): number {
    const value = this.take(name) ?? otherwise;
    const number = this.fromQuery && typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof number !== "number" || !Number.isInteger(number) || number < least || number > most)
      throw new BadRequest(`${name} must be a whole number from ${least} to ${most}`);
    return number;
  }

  truth(name: string, otherwise: boolean): boolean {
    const value = this.take(name) ?? otherwise;
    if (typeof value === "boolean") return value;
    if (this.fromQuery && (value === "true" || value === "1")) return true;
    if (this.fromQuery && (value === "false" || value === "0")) return false;
    throw new BadRequest(`${name} must be true or false`);
  }

  /** An unknown field is most likely a misspelt one. */
  expectNoMore(): void {
    for (const name of this.values.keys()) throw new BadRequest(`unknown field '${name}'`);
  }
}
