// examples/cam-server/endpoints.h
//
// What cam-server serves:
//
//   GET|POST /arbitrate     see arbitrate.h
//   GET|POST /collaborate   see collaborate.h
//   GET      /health        200 while a provider is healthy, else 503
//   GET      /stats         every counter, exact; among them what each fault has really done
//   GET|POST /faults        show, or switch on and off (see faults/fault_board.h)
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "examples/cam-server/http_server.h"
#include "examples/cam-server/mesh.h"

namespace cam {

// Answers `exchange` now or later; wrong requests with one clear sentence.
void serve(Mesh& mesh, const HttpServer& server, const std::shared_ptr<Exchange>& exchange);

nlohmann::json stats(Mesh& mesh, const HttpServer& server);

}  // namespace cam
