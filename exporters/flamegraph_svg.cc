// exporters/flamegraph_svg.cc: see flamegraph_svg.h.
#include "exporters/flamegraph_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"

namespace camprobe::exporters {

extern const char* const kFlamegraphStyle;
extern const char* const kFlamegraphScript;

namespace {

constexpr int kWidth = 1200;  // until a script knows better
constexpr int kRow = 18;
constexpr int kTop = 62;
constexpr int kSide = 10;
constexpr double kWhole = 1e6;
constexpr double kCharacter = 7.1;  // pixels, about

struct Node {
  FrameIndex frame = 0;
  std::uint32_t depth = 0;
  double self = 0;
  double total = 0;
  double before = 0;  // of a difference
  std::vector<std::uint32_t> children;
};

// Nodes in the order they were made: a parent before its children. Node 0 is everything.
std::vector<Node> tree_of(const Slice& slice) {
  std::vector<Node> nodes(1);
  std::unordered_map<std::uint64_t, std::uint32_t> children;
  for (const WeightedStack& stack : slice.stacks) {
    std::uint32_t at = 0;
    nodes[0].total += stack.weight;
    nodes[0].before += stack.before;
    for (const FrameIndex frame : stack.root_first) {
      const std::uint64_t key = (static_cast<std::uint64_t>(at) << 32) | frame;
      const auto [found, is_new] = children.try_emplace(key, static_cast<std::uint32_t>(nodes.size()));
      if (is_new) {
        nodes[at].children.push_back(found->second);
        nodes.push_back(Node{frame, nodes[at].depth + 1, 0, 0, 0, {}});
      }
      at = found->second;
      nodes[at].total += stack.weight;
      nodes[at].before += stack.before;
    }
    nodes[at].self += stack.weight;
  }
  for (Node& node : nodes) {
    std::stable_sort(node.children.begin(), node.children.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return nodes[a].total > nodes[b].total; });
  }
  return nodes;
}

std::string three_digits(double value) {
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

std::string in_unit(double value, Unit unit) {
  if (unit == Unit::kBytes) {
    static constexpr std::array<const char*, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t at = 0;
    while (value >= 1000 && at + 1 < kUnits.size()) value /= 1024, ++at;
    return fmt::format("{} {}", at == 0 ? fmt::format("{:.0f}", value) : three_digits(value), kUnits[at]);
  }
  if (unit == Unit::kNanoseconds) {
    if (value >= 1e9) return three_digits(value / 1e9) + " s";
    if (value >= 1e6) return three_digits(value / 1e6) + " ms";
    if (value >= 1e3) return three_digits(value / 1e3) + " \xC2\xB5s";
    return fmt::format("{:.0f} ns", value);
  }
  return fmt::format("{:.0f} {}", value, name_of(unit));
}

std::string percent(double share) {
  return fmt::format("{:.2f} %", share * 100);
}

// Paul Tol's "light" colours, which are made to be written on and to be told apart by every eye: one a module, heaviest
// first; frames of one module differ a little in lightness, by name.
std::map<std::string, std::uint32_t> colours_of_modules(const Slice& slice, const std::vector<Node>& nodes) {
  static constexpr std::array<std::uint32_t, 8> kColours{0xEEDD88, 0x77AADD, 0xEE8866, 0x99DDFF,
                                                         0xBBCC33, 0xFFAABB, 0x44BB99, 0xAAAA00};
  std::map<std::string, double> weights;
  for (const Node& node : nodes) weights[slice.frames[node.frame].module] += node.self;
  std::vector<std::pair<std::string, double>> order(weights.begin(), weights.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::map<std::string, std::uint32_t> colours;
  std::size_t next = 0;
  for (const auto& [module, weight] : order) {
    if (!module.empty()) colours[module] = kColours[next++ % kColours.size()];
  }
  return colours;
}

// One colour a language; the kernel and what camprobe adds are nobody's.
std::uint32_t colour_of_language(const Frame& frame) {
  if (frame.kind == "js") return 0xEEDD88;
  if (frame.kind == "python") return 0x99DDFF;
  if (frame.kind == "java") return 0xFFAABB;
  if (frame.kind == "kernel") return 0xEE8866;
  if (frame.kind == "native" || frame.kind == "inlined") return 0x77AADD;
  return 0xCFD3D8;
}

// The same colour in one of seven shades, by name, so that neighbours can be told apart.
std::string shaded(std::uint32_t colour, const std::string& name);

std::string colour_of(const Frame& frame, const std::map<std::string, std::uint32_t>& modules) {
  constexpr std::uint32_t kNeutral = 0xCFD3D8;
  const auto found = modules.find(frame.module);
  const bool neutral =
      frame.kind == "kernel" || frame.kind == "unknown" || frame.kind == "lost" || frame.kind == "camprobe";
  std::uint32_t colour = kNeutral;
  if (!neutral && found != modules.end()) colour = found->second;
  if (found == modules.end() && (frame.kind == "js" || frame.kind == "python" || frame.kind == "java"))
    colour = 0x44BB99;
  return shaded(colour, frame.function);
}

std::string shaded(std::uint32_t colour, const std::string& name) {
  std::uint32_t hash = 2166136261u;
  for (const char c : name.substr(0, 200)) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  const double lighter = (hash % 7) / 7.0 * 0.38;
  std::uint32_t mixed = 0;
  for (int shift = 16; shift >= 0; shift -= 8) {
    const double part = (colour >> shift) & 0xFF;
    mixed = (mixed << 8) | static_cast<std::uint32_t>(std::lround(part + (255 - part) * lighter));
  }
  return fmt::format("#{:06x}", mixed);
}

// Red where it grew, blue where it fell, the stronger the larger the change is beside the frame; white: as before.
std::string colour_of_change(double before, double after) {
  const double change = std::clamp((after - before) / std::max(std::max(before, after), 1e-300), -1.0, 1.0);
  const auto faded = static_cast<int>(std::lround(250 - 150 * std::sqrt(std::abs(change))));
  return change >= 0 ? fmt::format("#fa{0:02x}{0:02x}", faded)
                     : fmt::format("#{0:02x}{1:02x}fa", faded, (faded + 250) / 2);
}

std::string default_title(const Slice& slice) {
  if (slice.is_difference) return fmt::format("{}: what changed", name_of(slice.what));
  const std::string total = in_unit(slice.total, unit_of(slice.what));
  const auto at = [](std::int64_t ns) { return fmt::format("{:g} s", std::round(static_cast<double>(ns) / 1e8) / 10); };
  if (slice.what == What::kLive) return fmt::format("live: {} at {}", total, at(slice.range.to_ns));
  return fmt::format("{}: {}, {} to {}", name_of(slice.what), total, at(slice.range.from_ns), at(slice.range.to_ns));
}

std::string label_for(std::string_view name, double width) {
  const double characters = (width - 8) / kCharacter;
  return characters < 3 ? std::string() : shortened(name, static_cast<std::size_t>(characters));
}

// What the lightest frame must weigh for no more than `most` to be drawn.
double least_weight(const std::vector<Node>& nodes, std::size_t most) {
  std::vector<double> weights;
  for (const Node& node : nodes) weights.push_back(node.total);
  if (weights.size() <= most) return 0;
  std::nth_element(weights.begin(), weights.begin() + static_cast<std::ptrdiff_t>(most), weights.end(),
                   std::greater<>());
  return std::nextafter(weights[most], INFINITY);
}

}  // namespace

std::string to_flamegraph_svg(const Slice& slice, const SvgOptions& options) {
  const std::vector<Node> nodes = tree_of(slice);
  const auto modules = colours_of_modules(slice, nodes);
  const double all = std::max(nodes[0].total, 1e-300);
  const double least = least_weight(nodes, std::max<std::size_t>(1, options.most_frames));
  const Unit unit = unit_of(slice.what);
  constexpr std::size_t kLongestName = 1000;
  constexpr double kPixels = kWidth - 2 * kSide;

  std::string frames;
  std::uint32_t deepest = 0;
  std::size_t drawn = 0;
  struct Place {
    std::uint32_t node;
    double x;  // of the whole, 0 to 1
  };
  std::vector<Place> pending{{0, 0}};
  while (!pending.empty()) {
    const Place place = pending.back();
    pending.pop_back();
    const Node& node = nodes[place.node];
    const double share = node.total / all;
    ++drawn;
    deepest = std::max(deepest, node.depth);
    const bool is_root = place.node == 0;
    static const Frame kRoot{"all", "", 0, "", "camprobe"};
    const Frame& frame = is_root ? kRoot : slice.frames[node.frame];
    const std::string name = shortened(printable_utf8(frame.function), kLongestName);
    std::string about = fmt::format("{}\ntotal {} ({}), self {} ({})", name, in_unit(node.total, unit), percent(share),
                                    in_unit(node.self, unit), percent(node.self / all));
    if (slice.is_difference) {
      const double after = 2 * node.total - node.before;
      about += fmt::format("\nbefore {}, after {}", in_unit(node.before, unit), in_unit(after, unit));
      if (node.before > 0 && after > 0) about += fmt::format(" ({:+.1f} %)", 100 * (after / node.before - 1));
    }
    if (!frame.file.empty())
      about += frame.line > 0 ? fmt::format("\n{}:{}", frame.file, frame.line) : "\n" + frame.file;
    if (!frame.module.empty()) about += "\n" + frame.module;
    std::string title;  // line by line: a line feed is no printable character
    for (std::size_t at = 0; at <= about.size();) {
      const std::size_t end = std::min(about.find('\n', at), about.size());
      title += (at == 0 ? "" : "\n") + xml_text(std::string_view(about).substr(at, end - at));
      at = end + 1;
    }
    const double x = kSide + place.x * kPixels;
    const double y = kTop + node.depth * kRow;
    frames += fmt::format(
        "<g class=\"f\" tabindex=\"0\" data-x=\"{:.1f}\" data-w=\"{:.1f}\" data-d=\"{}\" "
        "data-n=\"{}\"><title>{}</title>"
        "<rect x=\"{:.2f}\" y=\"{}\" width=\"{:.2f}\" height=\"{}\" rx=\"2\" fill=\"{}\"/><text x=\"{:.2f}\" "
        "y=\"{}\">{}</text></g>\n",
        place.x * kWhole, share * kWhole, node.depth, xml_text(name), title, x, y, std::max(0.4, share * kPixels - 0.6),
        kRow - 1,
        is_root                                  ? "#cfd3d8"
        : slice.is_difference                    ? colour_of_change(node.before, 2 * node.total - node.before)
        : options.colour == SvgColour::kLanguage ? shaded(colour_of_language(frame), frame.function)
                                                 : colour_of(frame, modules),
        x + 4, y + 13, xml_text(label_for(name, share * kPixels)));
    double child_x = place.x;
    std::vector<Place> children;
    for (const std::uint32_t child : node.children) {
      if (nodes[child].total >= least) children.push_back({child, child_x});
      child_x += nodes[child].total / all;
    }
    pending.insert(pending.end(), children.rbegin(), children.rend());
  }

  const std::string title = options.title.empty() ? default_title(slice) : options.title;
  std::string foot = fmt::format("{} stacks", slice.stacks.size());
  if (drawn < nodes.size())
    foot += fmt::format("; the {} lightest of {} frames are not drawn", nodes.size() - drawn, nodes.size());
  if (options.colour == SvgColour::kLanguage && !slice.is_difference)
    foot += "; blue: native, yellow: JavaScript, light blue: Python, pink: Java, orange: kernel";
  for (const std::string& note : slice.notes) foot += "; " + note;
  const int height = kTop + static_cast<int>(deepest + 1) * kRow + 34;
  std::string out;
  out += "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  out += fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%\" height=\"{0}\" viewBox=\"0 0 {1} {0}\" role=\"img\" "
      "aria-label=\"{2}\">\n"
      "<title>{2}</title>\n<style>{3}</style>\n<text class=\"title\" x=\"{4}\" y=\"22\">{2}</text>\n",
      height, kWidth, xml_text(title), kFlamegraphStyle, kSide);
  out += fmt::format(
      "<g id=\"reset\" class=\"live off\" role=\"button\"><rect x=\"{0}\" y=\"30\" width=\"62\" height=\"24\" "
      "rx=\"6\"/>"
      "<text x=\"41\" y=\"46\" text-anchor=\"middle\">Reset</text></g>\n"
      "<foreignObject id=\"search-box\" class=\"live\" x=\"90\" y=\"30\" width=\"320\" height=\"26\"><input "
      "xmlns=\"http://www.w3.org/1999/xhtml\" "
      "id=\"search\" type=\"text\" placeholder=\"Search (regex), / to type\" aria-label=\"Search\"/></foreignObject>\n"
      "<text id=\"matched\" class=\"live\" x=\"420\" y=\"46\"></text>\n",
      kSide);
  out += frames;
  out += fmt::format(
      "<text id=\"about\" class=\"quiet\" x=\"{0}\" y=\"{1}\"></text>\n<text class=\"quiet\" id=\"foot\" x=\"{0}\" "
      "y=\"{2}\">{3}</text>\n",
      kSide, height - 20, height - 6, xml_text(foot));
  out += fmt::format("<script><![CDATA[\n{}]]></script>\n</svg>\n", kFlamegraphScript);
  return out;
}

}  // namespace camprobe::exporters
