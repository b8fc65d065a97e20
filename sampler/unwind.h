// sampler/unwind.h
//
// Who called whom: the stack walker of hooks and of signal handlers.
//
// The law: async-signal-safe, lock-free, no allocation, no libc call, errno never touched, and no read that can fault.
// It may be interrupted by a signal at any instruction and be called again by that signal's handler.
//
// A frame in a loaded module is stepped over by the module's .eh_frame, read at the moment a pc is met for the first
// time and kept as one 64-bit rule in a process-wide cache (unwind_cache.h). Code outside every module is a JIT's and
// is stepped over by its frame pointer, which V8, the JVM with -XX:+PreserveFramePointer and CPython's trampolines
// keep. Ways that were tried and left:
//   glibc's backtrace()          takes 4-6 us for 36 frames and may take the loader's lock
//   libunwind in the handler     250 ns warm, but keeps 256 KiB a thread, does not forget unloaded modules, and crashes
//   when re-entered tables made at start-up      every short-lived child would pay for all of its modules, and walk
//   only a few pcs of them
//
// What is recorded: return addresses as they stand on the stack, so whoever looks up a line subtracts one. The one
// exception is out[0] of walk_context(), the interrupted instruction itself. A pc that a signal interrupted in the
// middle of a stack is recorded plus one, so that the rule holds for it too.
#pragma once

#include <ucontext.h>

#include <cstdint>

namespace camprobe::sampler {

// The calling thread's own stack, [low, high); {0, 0} where it is unknown. Memory between the stack pointer and `high`
// is read freely. On any other stack (sigaltstack, a coroutine's) each page is asked for first (page_is_readable(),
// ~100 ns).
struct StackBounds {
  std::uintptr_t low;
  std::uintptr_t high;
};

// Why a walk ended. Only `root` says that the stack is whole; after anything else what was recorded is its leaf end.
enum class WalkEnd : std::uint8_t {
  root,  // the frame that nobody called: _start, clone, a coroutine's first, a frame-pointer chain that ends in zero
  truncated_depth,  // `max` frames recorded and more to come
  no_rule,          // a pc without call frame information whose frame pointer leads nowhere
  bad_frame,        // a rule led out of the stack, or down it
  closing,          // a pc not met before in a module that could be unloaded, while one is being unloaded
};

struct Walk {
  std::uint32_t depth;  // frames written to `out`, leaf first
  WalkEnd end;
  // Of a walk that ended at the root: whether a signal's handler is on the stack, or there is no telling (frame
  // pointers alone lead through the kernel's frame unseen).
  bool may_be_in_handler = false;
};

// Finds the loader's lock-free module look-up. Called once, at start-up, where dlsym() is allowed; until then, and on a
// glibc older than 2.35 which has no such look-up, every frame is stepped over by its frame pointer.
void start_unwinding();

// Walks the caller's stack. Frame 0 is the call of walk_here() itself; the first `skip` frames are left out.
[[gnu::noinline]] Walk walk_here(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, std::uint32_t skip);

// The same for a hook that does not want to count its own frames, which inlining changes: `hook_frame` is what
// __builtin_dwarf_cfa() gives in the interposed function, and the first frame recorded is that function's caller.
[[gnu::noinline]] Walk walk_above(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, void* hook_frame);

// Walks the stack that a signal interrupted: out[0] is the interrupted instruction.
Walk walk_context(std::uintptr_t* out, std::uint32_t max, StackBounds bounds, const ucontext_t* context);

// Around the real dlclose(), by its hook. Between the two no walker reads the .eh_frame of a module that could be
// unloaded, so none can touch pages that are being unmapped; pcs already in the cache are still stepped over. begin
// waits for walkers of other threads that are reading at this moment, which takes microseconds, and at most about 100
// ms (a reader may be stopped by a debugger, or be the very thread that now unloads a module from a signal handler);
// false says that the wait was given up. end makes the cache forget.
bool module_closing_begin();
void module_closing_end();

// In the child of a fork, before it walks: readers of the parent's other threads do not exist here.
void forget_walkers_after_fork();

}  // namespace camprobe::sampler
