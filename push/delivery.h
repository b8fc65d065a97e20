// push/delivery.h: what became of one attempt to hand a parcel over.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace camprobe::push {

enum class Outcome {
  kDelivered,  // the receiver has it
  kAway,       // nobody answered, or "later": worth another attempt
  kRefused,    // the receiver wants this one not, now or later
  kBarred,     // it lets nobody in like this: a wrong certificate, token or path. For the user to put right
};

struct Delivery {
  Outcome outcome = Outcome::kDelivered;
  std::string why;  // of all but kDelivered: "Connection refused", "HTTP 400: out of order sample"
  std::optional<std::chrono::seconds> retry_after{};
};

}  // namespace camprobe::push
