// collector/load/vegeta.cc: see vegeta.h.
#include "collector/load/vegeta.h"

namespace camprobe::load {
namespace {

constexpr std::int64_t kLongest = 1'000'000'000'000'000;  // 11 days

std::string_view path_of(std::string_view url) {
  if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) {
    const std::size_t path = url.find('/', scheme + 3);
    url = path == std::string_view::npos ? std::string_view("/") : url.substr(path);
  }
  return url.substr(0, url.find_first_of("?#"));
}

}  // namespace

const char* VegetaResults::add(const VegetaResult& result) {
  if (result.latency_ns < 0 || result.latency_ns > kLongest) return "its latency is negative or longer than 11 days";
  if (result.code < 0 || result.code > 999) return "there is no such code";
  Request request;
  request.sent = result.sent;
  request.took = Nanoseconds{result.latency_ns};
  request.answered = result.code >= 100;
  request.failed = !request.answered || result.code >= 400;
  if (request.failed && request.answered) requests_.kinds.add_status(result.code);
  if (!request.answered) requests_.kinds.add(result.error);
  name_.assign(result.method);
  if (!name_.empty() && !result.url.empty()) name_ += ' ';
  name_ += path_of(result.url);
  request.endpoint = requests_.endpoint(name_);
  requests_.add(request);
  return nullptr;
}

void VegetaResults::finish(LoadTimeline& timeline) {
  timeline.tool = "vegeta";
  timeline.resolution = Nanoseconds{1};
  requests_.finish(timeline);
  timeline.notes.push_back(
      "vegeta sends at its rate whatever the answers; requests that it sent late, for want of workers, are not told "
      "apart: latencies count from when a request was sent");
}

}  // namespace camprobe::load
