// tests/run/sample_run.h
//
// A small run with something in every table, for tests that need one to read. Two processes; 10 seconds; a heap leak on
// the stack leak <- handle <- main (one 64-byte object a second, none freed), churn on the stack copy <- main.
#pragma once

#include <string>

#include "run/histogram.h"
#include "run/writer.h"

namespace camprobe::run {

inline constexpr std::int64_t kTestSecond = 1'000'000'000;

struct SampleIds {
  ProcessId server{}, worker{};
  ThreadId main_thread{}, worker_thread{};
  StackId leak{}, copy{};
  NameId arbitration{}, provider{}, epoll_wait{};
};

inline Frame native(const std::string& function, const std::string& file, std::int64_t line) {
  Frame frame;
  frame.function = function;
  frame.file = file;
  frame.line = line;
  frame.module = "/usr/bin/server";
  frame.address = 0x1000 + line;
  frame.kind = "native";
  return frame;
}

// Writes the rows of seconds [0, 10) and flushes; the caller finishes the run or leaves it as a crash would.
inline SampleIds write_sample(Writer& writer) {
  SampleIds ids;
  Process server;
  server.pid = 4100;
  server.start_ticks = 777;
  server.executable = "/usr/bin/server";
  server.command = "server --port 8080";
  server.probe_state = "sampling";
  server.memory_limit_bytes = std::int64_t{512} << 20;
  ids.server = writer.add(server);
  Process worker = server;
  worker.pid = 4101;
  worker.parent_pid = 4100;
  worker.ended_ns = 9 * kTestSecond;
  worker.ended_how = "exited";
  worker.exit_status = 0;
  ids.worker = writer.add(worker);

  Thread thread;
  thread.process = ids.server;
  thread.tid = 4100;
  thread.name = "server";
  ids.main_thread = writer.add(thread);
  thread.tid = 4110;
  thread.name = "worker-1";
  ids.worker_thread = writer.add(thread);
  Module module;
  module.process = ids.server;
  module.path = "/usr/bin/server";
  module.build_id = "0123456789abcdef";
  module.base = 0x555555554000;
  module.low = 0x555555555000;
  module.high = 0x555555565000;
  writer.add(module);

  ids.leak = writer.add_stack(ids.server, false);
  ids.copy = writer.add_stack(ids.server, true);
  writer.set_frames(
      ids.leak, {native("leak", "leak.cc", 12), native("handle", "server.cc", 40), native("main", "server.cc", 99)});
  writer.set_frames(ids.copy, {native("copy", "copy.cc", 7), native("main", "server.cc", 99)});
  ids.arbitration = writer.name("cam.arbitration");
  ids.provider = writer.name("provider");
  ids.epoll_wait = writer.name("epoll_wait");

  const Metric resident{0, "process_resident_bytes", "bytes", "gauge"};
  for (std::int64_t second = 0; second < 10; ++second) {
    const std::int64_t now = second * kTestSecond;
    writer.point(resident, ids.server, second, 1e8 + 1e6 * static_cast<double>(second));
    writer.count(CpuRow{ids.server, second, ids.main_thread, ids.copy, ids.arbitration, 10, 1e8});
    writer.count(WaitRow{ids.server, second, ids.worker_thread, ids.copy, ids.epoll_wait, 5, 5e8});
    writer.count(AllocRow{ids.server, second, ids.leak, kNoName, 1, 100, 6400, 0});
    writer.count(AllocRow{ids.server, second, ids.copy, ids.arbitration, 2, 50, 3200, 25});
    writer.put(HeapObject{ids.server, second + 1, ids.leak, ids.main_thread, kNoName, 64, 8192, 6400, 100, now, {}});
    writer.put(HeapObject{ids.server, second + 100, ids.copy, ids.main_thread, ids.arbitration, 64, 8192, 3200, 50, now,
                          now + 2 * kTestSecond});
    writer.count(Lifetime{ids.server, second, 21, 2, 50, 3200});
    writer.count(IoRow{ids.server, second, "socket_read", 10, 1000, 0, 5000});
    writer.count(DescriptorSum{ids.server, second, "accept", "127.0.0.1", ids.copy, 3, 3, 10, 1000, 10, 2000});
    for (int i = 1; i <= 10; ++i) writer.count(Writer::SpanEnd{ids.server, second, ids.arbitration, i * 1'000'000});
    writer.count(SpanAttribute{ids.server, second, ids.arbitration, ids.provider, "openai", 10, 0, 2});
    writer.put(Span{ids.server, second + 1, 0, ids.arbitration, now, now + 1'000'000, ids.main_thread, ids.main_thread,
                    R"({"provider":"openai"})"});
  }
  Descriptor descriptor;
  descriptor.process = ids.server;
  descriptor.fd = 7;
  descriptor.kind = "connect";
  descriptor.peer = "127.0.0.1:9000";
  descriptor.stack = ids.leak;
  descriptor.opened_ns = kTestSecond;
  descriptor.read_bytes = 42;
  writer.add(descriptor);
  Mapping mapping;
  mapping.process = ids.server;
  mapping.address = 0x7f0000000000;
  mapping.bytes = 1 << 20;
  mapping.stack = ids.copy;
  mapping.mapped_ns = 5;
  writer.add(mapping);

  LoadSource load;
  load.tool = "h2load";
  load.requests = 1000;
  load.errors = 3;
  load.latency_basis = "sent";
  const SourceId source = writer.add(load);
  Histogram latency;
  latency.record(2'000'000, 100);
  for (std::int64_t second = 0; second < 10; ++second) {
    LoadBucket bucket;
    bucket.source = source;
    bucket.second = second;
    bucket.requests = 100;
    bucket.latency = latency.to_json();
    writer.put(bucket);
    bucket.endpoint = "/chat";
    writer.put(bucket);
  }
  writer.put(LoadWindow{0, source, "steady", "steady", 0, 10 * kTestSecond});
  writer.put(Mark{0, 3 * kTestSecond, "failover", "user"});
  writer.count(Lost{ids.server, 4, "cpu", 3});
  writer.put(Setting{ids.server, 0, "heap_interval_bytes", 8192});
  return ids;
}

inline Meta sample_meta() {
  Meta meta;
  meta.camprobe_version = "0.1.0";
  meta.started_realtime_ns = 1'790'000'000'000'000'000;
  meta.started_monotonic_ns = 123'456'789;
  meta.command = {"server", "--port", "8080"};
  meta.host = "testhost";
  meta.kernel = "Linux 6.1";
  meta.cpus = 4;
  meta.memory_bytes = std::int64_t{8} << 30;
  return meta;
}

}  // namespace camprobe::run
