// tests/sampler/unwind_plugin.cc
//
// A module that calls back from a frame of CAMPROBE_TEST_FRAME bytes. Built twice, with frames of different size.
extern "C" __attribute__((visibility("default"), noinline)) void camprobe_test_through(void (*visit)(void*),
                                                                                       void* argument) {
  volatile char room[CAMPROBE_TEST_FRAME];
  room[0] = 1;
  visit(argument);
  room[CAMPROBE_TEST_FRAME - 1] = room[0];
}
