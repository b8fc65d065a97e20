"""cam-server chooses, calls, retries, fails over, caches and settles on a consensus."""
import collections
import time
import unittest

from servers import BIN, Process, ServerTest, call, dead_port, drive, wait_until


class Arbitration(ServerTest):
    def providers_chosen(self, server, strategy, requests=20):
        return collections.Counter(
            call(server.port, f"/arbitrate?prompt_size=400&strategy={strategy}")[1]["provider"] for _ in range(requests))

    def test_each_strategy_picks_what_it_is_named_for(self):
        server = self.start_server(self.start_providers(["name=cheap,price=0.2,latency=30", "name=middle,price=0.4,latency=8",
                                                         "name=fast,price=8,latency=1"]))
        self.assertEqual(self.providers_chosen(server, "cost"), {"cheap": 20})
        self.assertGreaterEqual(self.providers_chosen(server, "latency")["fast"], 18)
        # cheap: 1 + 30, middle: 2 + 8, fast: 40 + 1, in units of the best, so middle wins by far
        self.assertGreaterEqual(self.providers_chosen(server, "balanced")["middle"], 18)

    def test_cost_and_baseline_are_prices_of_the_tokens_used(self):
        server = self.start_server(self.start_providers())
        _, answer = call(server.port, "/arbitrate?prompt_size=400&max_tokens=100&strategy=cost")
        self.assertEqual(answer["tokens"], 200)  # 400 bytes are 100 tokens, and 100 in the answer
        self.assertAlmostEqual(answer["cost"], 0.2 * 0.2)
        self.assertAlmostEqual(answer["baseline_cost"], 0.2 * 4)

    def test_a_provider_that_slows_down_is_left(self):
        providers = self.start_providers()
        server = self.start_server(providers, "--health-check-ms", "100")
        wait_until(lambda: self.providers_chosen(server, "latency", 1)["fast"] == 1, "fast is chosen first")
        status, _ = call(providers.port_of["fast"], "/control", {"latency_ms": 80})
        self.assertEqual(status, 200)
        wait_until(lambda: self.providers_chosen(server, "latency", 1)["middle"] == 1, "middle is chosen instead")

    def test_failover_when_a_provider_dies_and_return_when_it_comes_back(self):
        providers = self.start_providers()
        server = self.start_server(providers, "--breaker-open-ms", "200", "--health-check-ms", "100")
        self.assertEqual(self.providers_chosen(server, "cost", 5), {"cheap": 5})
        call(providers.port_of["cheap"], "/control", {"down": True, "for_ms": 1500})
        answers = [call(server.port, "/arbitrate?prompt_size=400&strategy=cost") for _ in range(20)]
        self.assertEqual({status for status, _ in answers}, {200}, "no client saw the failure")
        after = self.providers_chosen(server, "cost", 5)
        self.assertEqual(after, {"middle": 5})
        stats = self.stats(server)
        cheap = next(p for p in stats["providers"] if p["name"] == "cheap")
        self.assertGreaterEqual(cheap["breaker_opened"], 1)
        self.assertGreaterEqual(stats["arbitration"]["failovers"], 1)
        wait_until(lambda: self.providers_chosen(server, "cost", 1)["cheap"] == 1, "cheap is used again")

    def test_an_error_is_tried_again_and_then_failed_over(self):
        providers = self.start_providers()
        server = self.start_server(providers, "--health-check-ms", "0", "--breaker-failures", "1000")
        call(providers.port_of["cheap"], "/control", {"error_rate": 1})
        status, answer = call(server.port, "/arbitrate?prompt_size=400&strategy=cost")
        self.assertEqual((status, answer["provider"], answer["attempts"], answer["failovers"]), (200, "middle", 3, 1))
        arbitration = self.stats(server)["arbitration"]
        self.assertEqual((arbitration["retries"], arbitration["failovers"]), (1, 1))

    def test_a_hanging_provider_costs_one_deadline(self):
        providers = self.start_providers()
        server = self.start_server(providers, "--health-check-ms", "0", "--call-deadline-ms", "150")
        call(providers.port_of["cheap"], "/control", {"hang": True})
        begin = time.monotonic()
        status, answer = call(server.port, "/arbitrate?prompt_size=400&strategy=cost")
        self.assertEqual((status, answer["provider"]), (200, "middle"))
        self.assertLess(time.monotonic() - begin, 1.0)
        cheap = next(p for p in self.stats(server)["providers"] if p["name"] == "cheap")
        self.assertEqual(cheap["timed_out"], 1)

    def test_nobody_there_is_a_clear_502_and_then_503(self):
        providers = self.start_providers(["name=only,price=1,latency=1"])
        server = self.start_server(providers, "--health-check-ms", "0", "--breaker-failures", "2", "--breaker-open-ms", "60000")
        call(providers.port_of["only"], "/control", {"down": True, "for_ms": 60000})
        time.sleep(0.1)
        seen = [call(server.port, "/arbitrate?prompt_size=400") for _ in range(4)]
        self.assertEqual([status for status, _ in seen], [502, 502, 503, 503])
        self.assertIn("only", seen[0][1]["error"])
        self.assertEqual(call(server.port, "/health")[0], 503)

    def test_providers_nobody_started(self):
        server = Process([BIN / "cam-server", "--port", "0", "--provider", f"name=gone,port={dead_port()},price=1"])
        self.addCleanup(server.stop)
        status, answer = call(server.port, "/arbitrate?prompt_size=400")
        self.assertIn(status, (502, 503), answer)

    def test_pool_keeps_to_its_bound_and_closes_idle_connections(self):
        server = self.start_server(self.start_providers(["name=only,price=1,latency=5"]), "--pool-size", "3", "--pool-idle-ms", "300",
                                   "--health-check-ms", "0")
        self.assertEqual(drive(server.port, 80, clients=12), {200: 80})
        pool = self.stats(server)["providers"][0]["pool"]
        self.assertEqual(pool["opened"], 3)
        self.assertEqual(pool["reused"], 77)
        self.assertEqual(pool["open"], 3)
        wait_until(lambda: self.stats(server)["providers"][0]["pool"]["open"] == 0, "idle connections are closed")


class Cache(ServerTest):
    def test_the_same_prompt_is_paid_for_once(self):
        server = self.start_server(self.start_providers(), "--health-check-ms", "0")
        first = call(server.port, "/arbitrate", {"prompt": "why?"})[1]
        second = call(server.port, "/arbitrate", {"prompt": "why?"})[1]
        self.assertEqual((first["cached"], second["cached"]), (False, True))
        self.assertEqual((first["answer"], second["cost"]), (second["answer"], 0))
        other = call(server.port, "/arbitrate", {"prompt": "why?", "strategy": "cost"})[1]
        unwanted = call(server.port, "/arbitrate", {"prompt": "why?", "cache": False})[1]
        self.assertEqual((other["cached"], unwanted["cached"]), (False, False))
        stats = self.stats(server)
        self.assertEqual((stats["cache"]["hits"], stats["arbitration"]["answered"], stats["arbitration"]["from_cache"]), (1, 3, 1))

    def test_it_keeps_to_its_capacity(self):
        server = self.start_server(self.start_providers(["name=only,price=1,latency=0"]), "--cache-capacity", "32", "--health-check-ms", "0")
        for number in range(200):
            self.assertEqual(call(server.port, f"/arbitrate?prompt=question+{number}")[0], 200)
        cache = self.stats(server)["cache"]
        self.assertEqual(cache["capacity"], 32)
        self.assertLessEqual(cache["entries"], 32)
        self.assertEqual(cache["entries"] + cache["evictions"], 200)

    def test_answers_grow_old(self):
        server = self.start_server(self.start_providers(), "--cache-ttl-ms", "100", "--health-check-ms", "0")
        call(server.port, "/arbitrate", {"prompt": "why?"})
        time.sleep(0.2)
        self.assertFalse(call(server.port, "/arbitrate", {"prompt": "why?"})[1]["cached"])
        self.assertEqual(self.stats(server)["cache"]["expired"], 1)


class Consensus(ServerTest):
    def test_the_answer_is_the_weighted_majority_of_the_votes(self):
        server = self.start_server(self.start_providers())
        rounds = set()
        for number in range(30):
            status, result = call(server.port, "/collaborate", {"question": f"question {number}", "agents": 7})
            self.assertEqual(status, 200, result)
            weights = collections.Counter()
            for vote in result["votes"]:
                weights[vote["answer"]] += vote["weight"]
            self.assertEqual([vote["agent"] for vote in result["votes"]], list(range(7)))
            self.assertEqual(weights[result["answer"]], max(weights.values()))
            self.assertEqual(result["agreed"], weights[result["answer"]] > sum(weights.values()) / 2)
            self.assertAlmostEqual(result["support"], weights[result["answer"]] / sum(weights.values()))
            self.assertEqual({vote["provider"] for vote in result["votes"]}, {"cheap", "middle", "fast"})
            rounds.add(result["rounds"])
        self.assertGreater(len(rounds), 1, "some questions need more than one round")
        collaboration = self.stats(server)["collaboration"]
        self.assertEqual(collaboration["requests"], 30)

    def test_a_failing_provider_has_no_say(self):
        providers = self.start_providers()
        server = self.start_server(providers, "--health-check-ms", "0", "--breaker-failures", "1000")
        call(providers.port_of["fast"], "/control", {"error_rate": 1})
        status, result = call(server.port, "/collaborate", {"question": "who fails?", "agents": 6})
        self.assertEqual(status, 200)
        self.assertEqual({vote["weight"] for vote in result["votes"] if vote["provider"] == "fast"}, {0})

    def test_no_answers_at_all_is_502(self):
        providers = self.start_providers()
        server = self.start_server(providers, "--health-check-ms", "0", "--breaker-failures", "1000")
        for port in providers.ports:
            call(port, "/control", {"error_rate": 1})
        self.assertEqual(call(server.port, "/collaborate", {"question": "anyone?"})[0], 502)


if __name__ == "__main__":
    unittest.main()
