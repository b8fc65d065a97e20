// collector/load/jmeter_xml.cc
//
// JMeter's results as XML (jmeter.save.saveservice.output_format=xml): samples as elements of <testResults>, everything
// of interest in attributes: t elapsed, ts sent, s success, lb label, rc and rm code and message, na threads at work.
// See jmeter.h for what the samples mean.
//
// Elements nest. A <sample> with elements in it is a transaction controller: the samples in it are the requests. An
// <httpSample> is one request; what is in it (redirects, embedded resources) is part of it, as in JMeter's own tables
// and in its CSV, which has the outer one only.
//
// A run that is killed leaves the document open: nothing is lost by that. Where it is damaged, reading goes on at the
// next sample that begins a line, which JMeter indents by nothing.
#include <expat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "collector/load/adapter.h"
#include "collector/load/jmeter.h"

namespace camprobe::load {
namespace {

constexpr std::size_t kChunk = 1 << 16;
constexpr std::size_t kDeepest = 64;
constexpr std::size_t kLongestOpening = 13;  // "\n<httpSample "

// Where the next sample that begins a line is: the place of its '<'.
std::size_t find_opening(std::string_view text) {
  for (std::size_t at = 0; (at = text.find("\n<", at)) != std::string_view::npos; ++at) {
    const std::string_view element = text.substr(at + 1);
    if (element.starts_with("<httpSample ") || element.starts_with("<sample ")) return at + 1;
  }
  return std::string_view::npos;
}

// A <sample> that may turn out to be a transaction: its texts, kept until its first child or its end.
struct Pending {
  std::string time, elapsed, label, code, message, success, threads;
  std::uint64_t line = 0;
  std::size_t depth = 0;
};

class Reader {
 public:
  explicit Reader(Input& input) : input_(input) { begin_document(); }
  ~Reader() { XML_ParserFree(parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  run::Result<LoadTimeline> read() {
    std::string text;
    bool is_lost = false;
    for (;;) {
      const std::size_t had = text.size();
      text.resize(had + kChunk);
      const std::size_t n = input_.read(text.data() + had, kChunk);
      text.resize(had + n);
      if (n == 0) break;
      for (;;) {
        if (is_lost && !find_sample(text)) break;
        is_lost = !parse(text);
        if (!is_lost) break;
      }
    }
    close_pending();
    if (const std::string problem = input_.problem(); !problem.empty()) timeline_.skipped.note(problem);
    if (!has_elements_) {
      return run::Error{timeline_.skipped.why.empty() ? "there is no sample in it" : timeline_.skipped.why.front()};
    }
    samples_.finish(timeline_);
    return std::move(timeline_);
  }

 private:
  void begin_document() {
    if (parser_ != nullptr) XML_ParserFree(parser_);
    parser_ = XML_ParserCreate(nullptr);
    if (parser_ == nullptr) throw std::bad_alloc();
    XML_SetUserData(parser_, this);
    XML_SetElementHandler(
        parser_,
        [](void* self, const char* name, const char** attributes) {
          static_cast<Reader*>(self)->begin(name, attributes);
        },
        [](void* self, const char*) { static_cast<Reader*>(self)->end(); });
    XML_SetEntityDeclHandler(parser_, [](void* self, const char*, int, const char*, int, const char*, const char*,
                                         const char*, const char*) {
      XML_StopParser(static_cast<Reader*>(self)->parser_, XML_FALSE);  // JMeter declares none: no entity is expanded
    });
    fed_ = 0;
    depth_ = 0;
    request_depth_ = kNone;
  }

  // Parses all of `text` and empties it. False: damaged; `text` is then what follows the damage.
  bool parse(std::string& text) {
    if (XML_Parse(parser_, text.data(), static_cast<int>(text.size()), 0) != XML_STATUS_ERROR) {
      fed_ += static_cast<std::int64_t>(text.size());
      text.clear();
      return true;
    }
    close_pending();
    const std::uint64_t line = line_ + XML_GetCurrentLineNumber(parser_) - 1;
    timeline_.skipped.row(fmt::format("line {}: {}", line, XML_ErrorString(XML_GetErrorCode(parser_))));
    const std::int64_t at = XML_GetCurrentByteIndex(parser_) - fed_;
    text.erase(0, static_cast<std::size_t>(std::clamp<std::int64_t>(at, 0, static_cast<std::int64_t>(text.size()))));
    line_ = line;
    return false;
  }

  // Drops what stands before the next sample and begins a document there. False: more of the input is needed.
  bool find_sample(std::string& text) {
    const std::size_t at = find_opening(text);
    const std::size_t drop = at != std::string_view::npos ? at : text.size() - std::min(text.size(), kLongestOpening);
    line_ +=
        static_cast<std::uint64_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(drop), '\n'));
    text.erase(0, drop);
    if (at == std::string_view::npos) return false;
    begin_document();
    static constexpr std::string_view kRoot = "<testResults>";
    XML_Parse(parser_, kRoot.data(), static_cast<int>(kRoot.size()), 0);
    fed_ = static_cast<std::int64_t>(kRoot.size());
    return true;
  }

  void begin(const char* name, const char** attributes) {
    ++depth_;
    if (depth_ > kDeepest) return void(XML_StopParser(parser_, XML_FALSE));
    const bool is_http = std::strcmp(name, "httpSample") == 0;
    if (!is_http && std::strcmp(name, "sample") != 0) return;
    has_elements_ = true;
    if (request_depth_ != kNone) return;  // inside of a request
    JmeterSample sample;
    for (; attributes[0] != nullptr; attributes += 2) {
      const std::string_view key = attributes[0];
      if (key == "ts")
        sample.time = attributes[1];
      else if (key == "t")
        sample.elapsed = attributes[1];
      else if (key == "lb")
        sample.label = attributes[1];
      else if (key == "rc")
        sample.code = attributes[1];
      else if (key == "rm")
        sample.message = attributes[1];
      else if (key == "s")
        sample.success = attributes[1];
      else if (key == "na")
        sample.all_threads = attributes[1];
    }
    // The sample around this one was a transaction, whatever its message says.
    pending_.reset();
    if (is_http) {
      add(sample, line());
      request_depth_ = depth_;
    } else {
      pending_ = Pending{std::string(sample.time),
                         std::string(sample.elapsed),
                         std::string(sample.label),
                         std::string(sample.code),
                         std::string(sample.message),
                         std::string(sample.success),
                         std::string(sample.all_threads),
                         line(),
                         depth_};
    }
  }

  void end() {
    if (depth_ == request_depth_) request_depth_ = kNone;
    if (pending_ && depth_ == pending_->depth) close_pending();
    --depth_;
  }

  void close_pending() {
    if (!pending_) return;
    const Pending& held = *pending_;
    add({held.time, held.elapsed, held.label, held.code, held.message, held.success, {}, held.threads}, held.line);
    pending_.reset();
  }

  void add(const JmeterSample& sample, std::uint64_t line) {
    if (const char* wrong = samples_.add(sample)) timeline_.skipped.row(fmt::format("line {}: {}", line, wrong));
  }

  std::uint64_t line() const { return line_ + XML_GetCurrentLineNumber(parser_) - 1; }

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  Input& input_;
  XML_Parser parser_ = nullptr;
  std::int64_t fed_ = 0;    // bytes that the parser got before this call
  std::uint64_t line_ = 1;  // on which the parser's document begins
  std::size_t depth_ = 0;
  std::size_t request_depth_ = kNone;  // of the request that is open
  bool has_elements_ = false;
  std::optional<Pending> pending_;
  JmeterSamples samples_;
  LoadTimeline timeline_;
};

bool recognises(std::string_view head) {
  const std::size_t at = head.find("<testResults");
  return at != std::string_view::npos && at < 4096;
}

run::Result<LoadTimeline> read(Input& input) {
  return Reader(input).read();
}

}  // namespace

const Adapter kJmeterXml{"jmeter", "jmeter -l (XML)", recognises, read};

}  // namespace camprobe::load
