// push/session.h
//
// What the ways to push share: who receives, what every series is labelled with, the outbox, when to end.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "push/http_sender.h"
#include "push/outbox.h"
#include "push/push.h"
#include "push/receiver.h"
#include "run/reader.h"

namespace camprobe::push {

struct Session {
  PushOptions options;
  Receiver receiver;
  Labels labels;  // job, instance, the user's
  std::unique_ptr<HttpSender> sender;
  std::unique_ptr<Outbox> outbox;
};

// "camprobe push: ...", on standard error.
void say(const std::string& sentence);

// Set by SIGINT and SIGTERM.
bool is_to_end();

std::int64_t realtime_ms();
// A signal ends it.
void sleep_for(std::chrono::milliseconds time);

// Of a live push that was asked to end: what waits is sent, if the receiver is there. Whoever ended us waits, so this
// takes at most ten seconds, and two where the receiver is away.
void say_farewell(Session& session);

// All that is delivered or lost is final: says what has to be said and gives the exit code.
int conclude(const Session& session);

// Each from its first request to the last; the exit code.
int push_run(Session& session, run::Reader& run);
int push_live_metrics(Session& session);
int push_live_profiles(Session& session);

}  // namespace camprobe::push
