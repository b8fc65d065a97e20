#include <camprobe.h>
#include <stdio.h>

int main(void) {
  camprobe_span span = camprobe_begin("consumer.work");
  camprobe_set_text(span, "language", "c");
  camprobe_end(span);
  puts(camprobe_is_loaded() ? "with the probe" : "without the probe");
  return 0;
}
