// What people read of how a run was sampled, by example. Run by tests/viewer, as format.test.ts.
import assert from 'node:assert/strict';
import { held } from './sampling';

const show = (value: number) => `every ${value}`;
assert.equal(held([{ value: 8, from_s: 0, to_s: 60 }], show), 'every 8');
const three = [
  { value: 8, from_s: 0, to_s: 4 },
  { value: 0, from_s: 4, to_s: 65 },
  { value: 16, from_s: 65, to_s: 90 },
];
assert.equal(held(three, show), 'every 8 to 0:04, off to 1:05, every 16');
const many = Array.from({ length: 70 }, (_, i) => ({ value: i + 1, from_s: i, to_s: i + 1 }));
assert.match(held(many, show), /every 60 to 1:00, and 10 more changes$/, 'a setting that moved very often is cut and says so');
