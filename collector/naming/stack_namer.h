// collector/naming/stack_namer.h
//
// Gives a run's stacks their names: what was recorded by address (run/schema.sql, unnamed_stack) is looked up in the
// files of the modules that the run knows, by path and build-id.
//
// Naming is put off as far as it can be, because reading symbols and DWARF is most of what recording costs, and costs
// the same for the stacks of a second as for those of an hour. A run is named when its recording ends; one whose
// collector was killed, or that is still being recorded, is named for itself by whoever reads it. A file that was
// replaced or removed by then is said so (symbol_problems), and its addresses stay as they are.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "collector/symbols/module_symbols.h"
#include "collector/symbols/process_symbols.h"
#include "run/reader.h"

namespace camprobe::naming {

class StackNamer {
 public:
  // The symbols of a process that are at hand: its files are open. Null: it is gone, and the run's own rows of it
  // count.
  using AtHand = std::function<symbols::ProcessSymbols*(run::ProcessId)>;
  // Leaf first. False: no more is wanted.
  using Take = std::function<bool(run::StackId, std::vector<run::Frame> leaf_first)>;

  explicit StackNamer(symbols::ModuleSymbols& modules, AtHand at_hand = {})
      : modules_(modules), at_hand_(std::move(at_hand)) {}

  // Names all of these that are unnamed in the run, some thousands at a time, so that memory does not follow their
  // number.
  void name_all(run::Reader& reader, run::StacksOf which, const Take& take);

  // One sentence for each file that could not be used; a bounded number.
  const std::set<std::string>& problems() const { return problems_; }

 private:
  symbols::ModuleSymbols& modules_;
  AtHand at_hand_;
  std::set<std::string> problems_;
};

// Opens a run and names what its file leaves unnamed, for this reader. Errors as of run::Reader::open().
run::Result<run::Reader> open_named(const std::string& path, symbols::ModuleSymbols::Limits limits = {},
                                    run::StacksOf which = run::StacksOf::kEverything);

run::Frame as_row(const symbols::Frame& frame);
symbols::Frame from_row(const run::Frame& row);

// The stack as it would be without the probe: a hook between a program's call and libc's function is left out. Where
// the probe itself was at work, the hook's own name stays as the leaf, so that what the probe costs shows.
void leave_out_probe(std::vector<run::Frame>& leaf_first);

}  // namespace camprobe::naming
