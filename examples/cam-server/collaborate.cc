// examples/cam-server/collaborate.cc: see the header.
#include "examples/cam-server/collaborate.h"

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "examples/cam-server/provider_call.h"
#include "examples/cam-server/request_fields.h"

namespace cam {
namespace {

constexpr double kConviction = 1.5;
constexpr std::uint64_t kAnswerTokens = 64;

struct Proposal {
  std::size_t agent = 0;
  std::string answer;  // empty: none
  std::string provider;
  double weight = 0;
};

// Answers and the weight behind each, strongest first; equals in the order of their text.
std::vector<std::pair<std::string, double>> tally(const std::vector<Proposal>& proposals) {
  std::map<std::string, double> weights;
  for (const auto& proposal : proposals) {
    if (!proposal.answer.empty()) weights[proposal.answer] += proposal.weight;
  }
  std::vector<std::pair<std::string, double>> sorted(weights.begin(), weights.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  return sorted;
}

class Collaboration;

// Has its own strand: everything below runs there.
class Agent : public std::enable_shared_from_this<Agent> {
 public:
  Agent(Collaboration& owner, Mesh& mesh, std::size_t number);
  void start_round(std::vector<std::string> candidates);
  void hear(Proposal proposal);

 private:
  void propose(ProviderAnswer answer);
  void vote();

  Collaboration& owner_;  // lives as long as its agents: see Collaboration::finish
  Mesh& mesh_;
  const std::size_t number_;
  asio::strand<asio::io_context::executor_type> strand_;
  std::shared_ptr<Provider> provider_;
  std::vector<Proposal> heard_;  // of this round; may fill before the agent's own answer is there
  Proposal own_;
};

class Collaboration : public std::enable_shared_from_this<Collaboration> {
 public:
  Collaboration(Mesh& mesh, std::shared_ptr<Exchange> exchange, std::string question, std::size_t agents,
                std::uint64_t max_rounds)
      : mesh_(mesh),
        exchange_(std::move(exchange)),
        question_(std::move(question)),
        max_rounds_(max_rounds),
        strand_(asio::make_strand(mesh.io)),
        span_("cam.consensus", exchange_->span.id()) {
    for (std::size_t i = 0; i < agents; ++i) agents_.push_back(std::make_shared<Agent>(*this, mesh, i));
  }

  void start() {
    asio::post(strand_, [self = shared_from_this()] { self->next_round({}); });
  }

  // For the agents, from any strand.
  const std::string& question() const { return question_; }
  camprobe_span span() const { return span_.id(); }
  const TraceContext& trace() const { return exchange_->trace; }
  std::size_t size() const { return agents_.size(); }
  void tell_everyone(const Proposal& proposal) {
    for (const auto& agent : agents_) agent->hear(proposal);
  }
  void take_vote(Proposal vote) {
    asio::post(strand_,
               [self = shared_from_this(), vote = std::move(vote)]() mutable { self->count(std::move(vote)); });
  }

 private:
  void next_round(const std::vector<std::string>& candidates) {
    ++round_;
    votes_.clear();
    for (const auto& agent : agents_) agent->start_round(candidates);
  }

  void count(Proposal vote) {
    const InSpan in(span_.id());
    votes_.push_back(std::move(vote));
    if (votes_.size() < agents_.size()) return;
    const auto result = tally(votes_);
    double total = 0;
    for (const auto& one : votes_) total += one.weight;
    const bool agreed = !result.empty() && result.front().second > total / 2;
    if (agreed || result.empty() || round_ == max_rounds_) {
      asio::post(strand_, [self = shared_from_this(), result, agreed, total] { self->finish(result, agreed, total); });
      return;
    }
    std::vector<std::string> candidates;
    candidates.reserve(result.size());
    for (const auto& [answer, weight] : result) candidates.push_back(answer);
    next_round(candidates);
  }

  void finish(const std::vector<std::pair<std::string, double>>& result, bool agreed, double total) {
    const InSpan in(exchange_->span.id());
    auto& counters = mesh_.counters;
    counters.rounds.fetch_add(round_, std::memory_order_relaxed);
    if (agreed) counters.agreed.fetch_add(1, std::memory_order_relaxed);
    span_.set("agents", static_cast<double>(agents_.size()));
    span_.set("rounds", static_cast<double>(round_));
    span_.set("agreed", agreed ? 1.0 : 0.0);
    span_.end();
    if (result.empty())
      return exchange_->answer(error_reply(http::status::bad_gateway, "no agent got an answer from its provider"));
    nlohmann::json json{{"answer", result.front().first},
                        {"agreed", agreed},
                        {"support", total > 0 ? result.front().second / total : 0.0},
                        {"agents", agents_.size()},
                        {"rounds", round_},
                        {"votes", nlohmann::json::array()}};
    std::sort(votes_.begin(), votes_.end(), [](const Proposal& a, const Proposal& b) { return a.agent < b.agent; });
    for (const auto& vote : votes_)
      json["votes"].push_back(
          {{"agent", vote.agent}, {"answer", vote.answer}, {"provider", vote.provider}, {"weight", vote.weight}});
    exchange_->answer({http::status::ok, json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)});
  }

  Mesh& mesh_;
  const std::shared_ptr<Exchange> exchange_;
  const std::string question_;
  const std::uint64_t max_rounds_;
  asio::strand<asio::io_context::executor_type> strand_;  // round_, votes_ and span_ after the constructor
  AsyncSpan span_;
  std::vector<std::shared_ptr<Agent>> agents_;
  std::uint64_t round_ = 0;
  std::vector<Proposal> votes_;
};

Agent::Agent(Collaboration& owner, Mesh& mesh, std::size_t number)
    : owner_(owner), mesh_(mesh), number_(number), strand_(asio::make_strand(mesh.io)) {}

void Agent::start_round(std::vector<std::string> candidates) {
  asio::post(strand_, [self = shared_from_this(), owner = owner_.shared_from_this(),
                       candidates = std::move(candidates)]() mutable {
    const InSpan in(owner->span());
    Question question;
    question.prompt = owner->question();
    question.prompt_bytes = question.prompt.size();
    question.max_tokens = kAnswerTokens;
    question.candidates = std::move(candidates);
    const std::uint64_t tokens = question.prompt_bytes / 4 + kAnswerTokens;
    const auto decision =
        self->mesh_.arbiter.decide_at_place(Strategy::balanced, static_cast<double>(tokens), self->number_);
    const auto answered = [self, owner](const ProviderAnswer& answer) {
      asio::post(self->strand_, [self, owner, answer] { self->propose(answer); });
    };
    if (!decision) return answered({});
    self->provider_ = decision->provider;
    CallSettings settings;
    settings.deadline = self->mesh_.settings.call_deadline;
    settings.trace = owner->trace();
    call_provider(self->mesh_.io, decision->provider, std::move(question), settings, owner->span(), answered);
  });
}

void Agent::propose(ProviderAnswer answer) {
  const InSpan in(owner_.span());
  own_ = Proposal{number_, "", provider_ != nullptr ? provider_->name() : "", 0};
  if (answer.outcome == Provider::Outcome::answered) {
    own_.answer = std::move(answer.answer);
    own_.weight = 1 - provider_->figures().error_share;
  }
  owner_.tell_everyone(own_);
}

void Agent::hear(Proposal proposal) {
  asio::post(strand_,
             [self = shared_from_this(), owner = owner_.shared_from_this(), proposal = std::move(proposal)]() mutable {
               self->heard_.push_back(std::move(proposal));
               // Its own proposal is among those it hears, so once all are there, own_ is of this round too.
               if (self->heard_.size() == owner->size()) self->vote();
             });
}

void Agent::vote() {
  Proposal vote = own_;
  std::vector<std::pair<std::string, double>> result;
  {
    const InSpan in(owner_.span());  // left before the vote is out: with the last vote the span may end
    result = tally(heard_);
  }
  heard_.clear();
  if (!result.empty() && result.front().first != own_.answer) {
    const auto own =
        std::find_if(result.begin(), result.end(), [&](const auto& one) { return one.first == own_.answer; });
    if (own == result.end() || result.front().second > kConviction * own->second) vote.answer = result.front().first;
  }
  owner_.take_vote(std::move(vote));
}

}  // namespace

void collaborate(Mesh& mesh, std::shared_ptr<Exchange> exchange) {
  RequestFields fields(exchange->request);
  auto question = fields.text("question", "", std::size_t{16} * 1024);
  const auto agents = fields.number("agents", 5, 2, 32);
  const auto max_rounds = fields.number("max_rounds", 4, 1, 10);
  fields.expect_no_more();
  if (question.empty()) throw BadRequest("question is missing");
  mesh.counters.collaborations.fetch_add(1, std::memory_order_relaxed);
  mesh.faults.on_request();
  std::make_shared<Collaboration>(mesh, std::move(exchange), std::move(question), agents, max_rounds)->start();
}

}  // namespace cam
