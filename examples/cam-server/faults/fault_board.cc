// examples/cam-server/faults/fault_board.cc: see the header.
#include "examples/cam-server/faults/fault_board.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "examples/cam-server/catalog.h"

namespace cam {
namespace {

constexpr double kLargest = 1e15;  // exact in a double, and no overflow anywhere

double number(const std::string& text, const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw UsageError(where + ": '" + text + "' is not a number");
  return value;
}

void check(const FaultSetting& setting, const std::string& where) {
  if (!(setting.amount >= 0 && setting.amount <= 64 << 20))
    throw UsageError(where + ": the amount must be between 0 and 67108864");
  if (!(setting.share >= 0 && setting.share <= 1)) throw UsageError(where + ": the share must be between 0 and 1");
  if (!(setting.cap >= 0 && setting.cap <= kLargest)) throw UsageError(where + ": the cap must be between 0 and 1e15");
}

}  // namespace

FaultBoard::FaultBoard() {
  faults_.push_back(make_heap_leak());
  auto unclosed = std::make_unique<UnclosedConnections>();
  unclosed_connections_ = unclosed.get();
  faults_.push_back(std::move(unclosed));
  faults_.push_back(make_unbounded_cache());
  faults_.push_back(make_thread_leak());
  faults_.push_back(make_slow_scan());
  faults_.push_back(make_lock_convoy());
  faults_.push_back(make_fragmentation());
  faults_.push_back(make_bounded_cache());
  faults_.push_back(make_sawtooth_arena());
  faults_.push_back(make_warm_up());
}

std::uint64_t FaultBoard::on_request() {
  const std::uint64_t request = requests_.fetch_add(1, std::memory_order_relaxed) + 1;
  for (const auto& fault : faults_) {
    if (fault.get() != unclosed_connections_) fault->on_request(request);
  }
  return request;
}

Fault* FaultBoard::find(const std::string& name) const {
  for (const auto& fault : faults_) {
    if (name == fault->kind().name) return fault.get();
  }
  throw UsageError("no fault '" + name + "' (" + names() + ")");
}

std::string FaultBoard::names() const {
  std::string all;
  for (const auto& fault : faults_) all += (all.empty() ? "" : ", ") + std::string(fault->kind().name);
  return all;
}

void FaultBoard::set(const std::string& text) {
  const std::string where = "--fault " + text;
  std::string rest = text;
  std::string from;
  if (const auto at = rest.find('@'); at != std::string::npos) {
    from = rest.substr(at + 1);
    rest.resize(at);
    if (from.empty()) throw UsageError(where + ": a request number must follow '@'");
  }
  std::string numbers;
  if (const auto equals = rest.find('='); equals != std::string::npos) {
    numbers = rest.substr(equals + 1);
    rest.resize(equals);
    if (numbers.empty()) throw UsageError(where + ": numbers must follow '='");
  }
  Fault* fault = find(rest);
  FaultSetting setting = fault->defaults();
  double* const places[] = {&setting.amount, &setting.share, &setting.cap};
  std::size_t place = 0;
  for (std::size_t begin = 0; begin < numbers.size() || (place > 0 && begin == numbers.size()); ++place) {
    if (place == 3) throw UsageError(where + ": at most three numbers, amount:share:cap");
    const auto colon = numbers.find(':', begin);
    const auto end = colon == std::string::npos ? numbers.size() : colon;
    *places[place] = number(numbers.substr(begin, end - begin), where);
    if (colon == std::string::npos) break;
    begin = end + 1;
  }
  if (!from.empty()) {
    const double request = number(from, where);
    if (!(request >= 0 && request <= kLargest))
      throw UsageError(where + ": the request number must be between 0 and 1e15");
    setting.from_request = static_cast<std::uint64_t>(request);
  }
  check(setting, where);
  fault->set(setting, requests());
}

void FaultBoard::set(const nlohmann::json& json) {
  std::vector<std::pair<Fault*, FaultSetting>> changes;
  const auto list = json.is_array() ? json : nlohmann::json::array({json});
  for (const auto& entry : list) {
    if (!entry.is_object() || !entry.contains("fault") || !entry["fault"].is_string())
      throw UsageError("each fault must be an object with \"fault\": one of " + names());
    const std::string name = entry["fault"].get<std::string>();
    Fault* fault = find(name);
    FaultSetting setting = fault->defaults();
    for (const auto& [key, value] : entry.items()) {
      if (key == "fault") continue;
      if (key == "on") {
        if (!value.is_boolean()) throw UsageError(name + ": \"on\" must be true or false");
        setting.on = value.get<bool>();
        continue;
      }
      if (!value.is_number()) throw UsageError(name + ": \"" + key + "\" must be a number");
      const double number = value.get<double>();
      if (key == fault->kind().amount)
        setting.amount = number;
      else if (key == "share")
        setting.share = number;
      else if (key == fault->kind().cap)
        setting.cap = number;
      else if (key == "from_request" && number >= 0 && number <= kLargest)
        setting.from_request = static_cast<std::uint64_t>(number);
      else
        throw UsageError(name + ": \"" + key + "\" is not on, " + fault->kind().amount + ", share, " +
                         fault->kind().cap + " or from_request");
    }
    check(setting, name);
    changes.emplace_back(fault, setting);
  }
  for (const auto& [fault, setting] : changes) fault->set(setting, requests());
}

nlohmann::json FaultBoard::to_json() const {
  auto json = nlohmann::json::object();
  for (const auto& fault : faults_) json[fault->kind().name] = fault->to_json();
  return json;
}

std::string FaultBoard::help() const {
  const auto number = [](double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  };
  std::string text = "Faults (NAME[=AMOUNT[:SHARE[:CAP]]][@REQUEST]; also POST /faults):\n";
  for (const bool innocent : {false, true}) {
    if (innocent) text += "Innocent look-alikes, switched on the same way:\n";
    for (const auto& fault : faults_) {
      const auto& kind = fault->kind();
      if (kind.innocent != innocent) continue;
      text += "  " + std::string(kind.name) + "=" + number(kind.default_amount) + ":" + number(kind.default_share) +
              ":" + number(kind.default_cap) + "  (" + kind.amount + ", share, " + kind.cap + ")\n      " + kind.what +
              "\n";
    }
  }
  return text;
}

}  // namespace cam
