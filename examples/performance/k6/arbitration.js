// examples/performance/k6/arbitration.js: a k6 script of one's own, used by config/load-test-configs.yaml as it is.
//   BASE is set by camprobe suite.
import http from "k6/http";
import { check } from "k6";

export const options = { vus: 50, duration: __ENV.DURATION || "30s" };

export default function () {
  const answer = http.get(`${__ENV.BASE}/arbitrate?prompt_size=800&strategy=balanced`, { tags: { endpoint: "arbitrate" } });
  check(answer, { "a provider answered": (r) => r.status === 200 && r.json("provider") !== undefined });
}
