// probe/loader.cc
//
// dlclose(): the stack walker keeps its hands off modules while one goes, and the module table learns which went. Why
// dlopen() has no hook is said in sampler/module_table.h.
#include "probe/real.h"
#include "sampler/module_table.h"
#include "sampler/session.h"
#include "sampler/thread_lane.h"
#include "sampler/unwind.h"

using namespace camprobe;         // NOLINT: hooks are global functions
using namespace camprobe::probe;  // NOLINT

CAMPROBE_HOOK int dlclose(void* handle) noexcept {
  if (sampler::session_state() != sampler::SessionState::kRunning ||
      sampler::t_lane.mode == sampler::LaneMode::kDetached)
    return real().dlclose(handle);
  sampler::module_closing_begin();
  const int result = real().dlclose(handle);
  sampler::module_closing_end();
  sampler::note_closed_modules();
  return result;
}
