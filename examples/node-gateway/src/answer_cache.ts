// examples/node-gateway/src/answer_cache.ts
//
// Answers already paid for: at most `capacity`, none older than `timeToLiveMs`, the least recently used one evicted first.
// A Map keeps the order of insertion, so taking an entry out and putting it back makes it the youngest.

export class AnswerCache {
  private readonly entries = new Map<string, { answer: object; expires: number }>();
  hits = 0;
  misses = 0;
  evictions = 0;

  constructor(readonly capacity: number, private readonly timeToLiveMs: number) {}

  get size(): number {
    return this.entries.size;
  }

  find(key: string): object | undefined {
    const entry = this.entries.get(key);
    this.entries.delete(key);
    if (entry === undefined || entry.expires <= performance.now()) {
      this.misses++;
      return undefined;
    }
    this.entries.set(key, entry);
    this.hits++;
    return entry.answer;
  }

  put(key: string, answer: object): void {
    this.entries.delete(key);
    this.entries.set(key, { answer, expires: performance.now() + this.timeToLiveMs });
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= this.capacity) break;
      this.entries.delete(oldest);
      this.evictions++;
    }
  }
}
