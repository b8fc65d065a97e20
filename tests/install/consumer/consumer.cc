#include <camprobe.h>

#include <iostream>

int main() {
  const camprobe_span span = camprobe_begin("consumer.work");
  camprobe_set_number(span, "cost", 0.5);
  camprobe_end(span);
  std::cout << (camprobe_is_loaded() ? "with the probe\n" : "without the probe\n");
}
