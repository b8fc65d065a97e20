// suite/http.h: the few requests that the suite sends itself: ready checks, checks, counts, actions.
#pragma once

#include <string>

#include "suite/suite.h"

namespace camprobe::suite {

struct Answer {
  int status = 0;  // 0: none came
  std::string body, why;
};

// Over a connection of its own, at most `limit_s` long.
Answer ask(const std::string& method, const std::string& url, const std::string& body = "", const Headers& headers = {},
           double limit_s = 5);

int free_port();         // of 127.0.0.1, not in use at this moment
bool accepts(int port);  // a connection to 127.0.0.1

}  // namespace camprobe::suite
