// shm/placement.h
//
// Where code and data lie that the hooks of I/O calls touch. Such a hook runs right before and after a system call, and
// a kernel that isolates its page tables may have forgotten every translation of the program's by then (x86 without
// PCID, most virtual machines): each page touched costs a walk of the tables, 20 to 50 ns, more than all that the hook
// computes. So what they read lies in one page, and what they execute in as few as the linker can make it.
//
// tests/probe/library_test.py holds the data to that page.
#pragma once

// A variable that every hook reads. The first of them in link order (sampler/clock.cc) aligns the section.
#define CAMPROBE_HOT_DATA [[gnu::section("camprobe_hot")]]
