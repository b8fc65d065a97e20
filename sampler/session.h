// sampler/session.h
//
// The probe in this process, from start-up to its end: whether it records, into which region, and what becomes of it in
// the child of a fork, at an exec and at exit. Called by the hooks of probe/process.cc and by the constructor.
//
// One session a process image. Everything here is free of allocation; begin_in_child() also of locks, since it runs in
// the child of a fork of a program with threads.
#pragma once

#include <cstdint>

#include "sampler/settings.h"

namespace camprobe::sampler {

enum class SessionState : std::uint32_t {
  kNotStarted,  // before the constructor
  kRunning,
  kOff,  // nothing is recorded in this process
};

SessionState session_state();
const Settings& settings();

// Makes the region and arms the calling thread. False: the probe is off; `why` says it in one sentence.
bool start_session(const Settings& settings, const char** why, int* error);

// The probe stays off in this process (AT_SECURE, CAMPROBE_FAMILIES=none).
void stay_off();

// Said in this process's region and in those of its forked children: what is limited for them all. Start-up.
void say_in_every_region(const char* text);

// Around a fork, in the forking thread: between the two it points at no region at all.
void before_fork();
void after_fork_in_parent();
// In the child: leaves the parent's region alone and, where the settings say so, begins a session of its own.
void after_fork_in_child();

// Around exec. If it returns, it failed.
void before_exec();
void after_failed_exec();

// The process ends. `status` as given to exit(); the region goes unless a collector that is alive wants it.
void note_exit_status(int status);
void end_session();

// Whether this process was an image with a region before its last exec, or its parent has a region: then whatever there
// is to say about the environment was said.
bool is_part_of_recorded_tree();

// Called in the child of a fork, before its session begins.
using ForgetInChild = void (*)();
extern constinit ForgetInChild g_forget_in_child;

// Whether there is a collector of this process id. Behind the wall of a pid namespace nobody can tell, so there it is
// believed in: what it does not take away, `camprobe list --clean` does.
bool is_collecting(std::uint32_t pid);

// Whether a process of this id is alive (as far as we may know).
bool is_alive(std::uint32_t pid);

}  // namespace camprobe::sampler
