// examples/cam-server/arbitrate.h
//
// GET or POST /arbitrate: from the cache where the same prompt was answered lately, else from the provider the arbiter
// chooses; one that answers with a server error is asked once more after a pause, and where that fails too, or it
// cannot be reached, the next best takes over, until no healthy provider is left.
//
// Of JSON or query: `prompt` (text), or `prompt_size` (bytes, where only the size is known; never cached), `strategy`
// (cost, latency or balanced, the default), `max_tokens` (64), `cache` (true).
#pragma once

#include <memory>

#include "examples/cam-server/http_server.h"
#include "examples/cam-server/mesh.h"

namespace cam {

void arbitrate(Mesh& mesh, std::shared_ptr<Exchange> exchange);

}  // namespace cam
