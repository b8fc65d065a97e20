// push/http_sender.h
//
// Hands parcels over by HTTP or HTTPS (libcurl), on one connection that is kept open. Redirects are not followed: a
// token is for the address it was given for. Used by one thread, but for stop().
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "push/delivery.h"
#include "push/parcel.h"
#include "run/result.h"

namespace camprobe::push {

struct SenderOptions {
  std::string token_file;  // sent as a bearer token; read anew for each attempt, as tokens are renewed. "": none
  std::string ca_file;     // PEM certificates to trust instead of the system's. "": the system's
};

class HttpSender {
 public:
  // An error where the token or the certificates cannot be used: the sentence a user sees.
  static run::Result<std::unique_ptr<HttpSender>> open(SenderOptions options);
  ~HttpSender();
  HttpSender(const HttpSender&) = delete;
  HttpSender& operator=(const HttpSender&) = delete;

  // Makes one attempt; takes at most half a minute.
  Delivery send(const Parcel& parcel);
  // Has the attempt that is going on, and every later one, fail at once.
  void stop() { is_stopped_.store(true, std::memory_order_relaxed); }

 private:
  struct State;
  HttpSender(SenderOptions options, std::unique_ptr<State> state);
  SenderOptions options_;
  std::unique_ptr<State> state_;
  std::atomic<bool> is_stopped_{false};
};

}  // namespace camprobe::push
