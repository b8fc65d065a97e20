// examples/cam-server/provider_call.h
//
// One question to one provider, over one connection: POST /v1/complete, answered or failed within a deadline. A
// kept-alive connection that turns out to be closed by the other side is replaced once, unnoticed by the caller.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "camprobe.h"
#include "examples/cam-server/provider.h"
#include "examples/cam-server/trace_context.h"

namespace cam {

class UnclosedConnections;

struct Question {
  std::string prompt;  // may be empty, where only its size is known
  std::uint64_t prompt_bytes = 0;
  std::uint64_t max_tokens = 64;
  std::vector<std::string> candidates;  // answers others have given, most popular first
};

struct ProviderAnswer {
  Provider::Outcome outcome = Provider::Outcome::failed;
  int status = 0;        // HTTP, 0 where none came
  bool refused = false;  // not called at all: breaker or pool full
  double latency_ms = 0;
  std::uint64_t tokens = 0;
  double cost = 0;
  std::string answer, text;
  std::string error;  // a phrase, where the outcome is not `answered`
};

struct CallSettings {
  std::chrono::milliseconds deadline{1000};
  const char* span_name = "cam.provider_call";
  TraceContext trace;                         // of the request it is made for
  UnclosedConnections* leave_open = nullptr;  // not null: this call's connection is to be leaked there
};

// Runs `done` exactly once, at once or later, on any thread. Begins a span under `parent` for the length of the call.
void call_provider(boost::asio::io_context& io, std::shared_ptr<Provider> provider, Question question,
                   CallSettings settings, camprobe_span parent, std::function<void(ProviderAnswer)> done);

}  // namespace cam
