// examples/cam-server/collaborate.h
//
// POST or GET /collaborate: several agents answer one question and settle on one answer by weighted majority.
//
// In each round every agent, on a strand of its own, asks its provider (they start at different places of the arbiter's
// ranking) and proposes the answer to all others, with a weight: how reliable its provider has been, 1 - error share.
// When an agent has everybody's proposals it votes: for its own, unless another carries more than 1.5 times the weight
// of its own. An answer that more than half of the weight votes for is the consensus. Otherwise the next round asks
// again, with the proposals so far in the question, which providers take into account. After `max_rounds` the answer
// with most weight stands, and `agreed` is false. Where weights are equal the answer that sorts first wins, so a result
// can be repeated. An agent whose provider fails proposes nothing and votes for the strongest proposal with weight 0.
//
// Of JSON or query: `question` (text), `agents` (2 to 32; 5), `max_rounds` (1 to 10; 4).
#pragma once

#include <memory>

#include "examples/cam-server/http_server.h"
#include "examples/cam-server/mesh.h"

namespace cam {

void collaborate(Mesh& mesh, std::shared_ptr<Exchange> exchange);

}  // namespace cam
