// push/receiver.h
//
// Where pushes go: what kind of receiver it is and at which address, as the user named them. What each kind's request
// looks like is said where it is made (metrics_request.h, profile_request.h).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "run/result.h"

namespace camprobe::push {

enum class ReceiverKind { kPyroscope, kPushgateway, kVictoriaMetrics, kRemoteWrite };

// "pyroscope, pushgateway, ..." for messages; with spaces, for completion.
std::string names_of_receivers(const char* separator);

// A label every series and profile gets, beside job and instance.
using Labels = std::vector<std::pair<std::string, std::string>>;

struct Receiver {
  ReceiverKind kind{};
  std::string base;  // "https://host:8428/prefix", without a slash at the end
  bool is_encrypted = false;
  bool is_loopback = false;  // by its address or as localhost
};

// Takes an http or https address with nothing behind its path; the path that a kind of receiver listens at may be there
// or not.
run::Result<Receiver> parse_receiver(std::string_view kind, const std::string& url);

// "env=staging": a name that Prometheus takes for a label and that no metric has here, and its value.
run::Result<std::pair<std::string, std::string>> parse_label(const std::string& text);

// As it stands in a path or a query (RFC 3986).
std::string percent_encoded(std::string_view text);

}  // namespace camprobe::push
