#include "push/profile_request.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <string>

#include "exporters/filter.h"
#include "exporters/pprof.h"

namespace camprobe::push {
namespace {

using exporters::What;

// Of the documentation's fields: units are samples, objects or bytes; what is held is averaged over time, what happened
// is added up; sampled: the period in the profile counts.
constexpr const char* kCpuTypes =
    R"({"samples":{"units":"samples","aggregation":"sum","display-name":"cpu","sampled":true}})";
constexpr const char* kHeapTypes =
    R"({"alloc_objects":{"units":"objects","aggregation":"sum","display-name":"alloc_objects","sampled":false},)"
    R"("alloc_space":{"units":"bytes","aggregation":"sum","display-name":"alloc_space","sampled":false},)"
    R"("inuse_objects":{"units":"objects","aggregation":"average","display-name":"inuse_objects","sampled":false},)"
    R"("inuse_space":{"units":"bytes","aggregation":"average","display-name":"inuse_space","sampled":false}})";

// What stands between name{ and }: letters, digits and a few signs; anything else would end the name or be refused.
std::string plain(const std::string& text, const char* also) {
  std::string safe;
  for (const char c : text) {
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    safe += is_word || std::string_view(also).find(c) != std::string_view::npos ? c : '_';
  }
  return safe;
}

std::string name_of(const run::Process& process, const Labels& labels) {
  const std::string& path = process.executable.empty() ? process.command : process.executable;
  std::string application = plain(path.substr(path.rfind('/') + 1).substr(0, 96), "-.");
  if (application.empty()) application = "unknown";
  std::string name = application + fmt::format("{{pid={}", process.pid);
  for (const auto& [key, value] : labels) name += "," + key + "=" + plain(value, "-./:@ ");
  return name + "}";
}

// A part of a form. The boundary must not occur in any; a gzip file may hold any bytes, so it is looked for.
std::string boundary_for(const std::string& profile) {
  std::string boundary = "camprobe-form-7c1f4b9a";
  while (profile.find(boundary) != std::string::npos) boundary += "x";
  return boundary;
}

std::string form(const std::string& boundary, const std::string& profile, const char* types) {
  const auto part = [&](const char* name, const char* file, const char* type) {
    return fmt::format(
        "--{}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n", boundary,
        name, file, type);
  };
  return part("profile", "profile.pprof", "application/octet-stream") + profile + "\r\n" +
         part("sample_type_config", "sample_type_config.json", "application/json") + types +
         fmt::format("\r\n--{}--\r\n", boundary);
}

std::optional<std::string> profile_of(run::Reader& run, std::initializer_list<What> whats,
                                      const exporters::Filter& filter) {
  for (const What what : whats) {
    try {
      std::vector<std::string> notes;
      return exporters::to_pprof_by_span(run, what, filter, notes);
    } catch (const exporters::SliceError&) {
      if (run.error()) throw;  // else there is nothing of it in this stretch, which is no error here
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<Parcel> profile_requests(run::Reader& run, std::int64_t from_s, std::int64_t to_s, const Receiver& receiver,
                                     const Labels& labels) {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  const std::int64_t began_s = run.meta().started_realtime_ns / kSecondNs;
  std::vector<Parcel> parcels;
  for (const run::Process& process : run.processes()) {
    if (process.id == run::kMachine || process.began_ns >= to_s * kSecondNs) continue;
    if (process.ended_ns && *process.ended_ns < from_s * kSecondNs) continue;
    exporters::Filter filter(exporters::TimeRange{from_s * kSecondNs, to_s * kSecondNs});
    filter.processes = std::set<run::ProcessId>{process.id};
    const auto add = [&](std::initializer_list<What> whats, const char* types) {
      const auto profile = profile_of(run, whats, filter);
      if (!profile) return;
      const std::string boundary = boundary_for(*profile);
      Parcel parcel;
      parcel.url = fmt::format("{}/ingest?name={}&from={}&until={}&spyName=camprobe", receiver.base,
                               percent_encoded(name_of(process, labels)), began_s + from_s, began_s + to_s);
      parcel.headers = {"Content-Type: multipart/form-data; boundary=" + boundary};
      parcel.body = form(boundary, *profile, types);
      parcel.from_ms = (began_s + from_s) * 1000;
      parcel.to_ms = (began_s + to_s) * 1000;
      parcels.push_back(std::move(parcel));
    };
    add({What::kCpu}, kCpuTypes);
    add({What::kLive, What::kAlloc}, kHeapTypes);  // either has all four kinds of figures
  }
  return parcels;
}

}  // namespace camprobe::push
