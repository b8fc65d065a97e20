// tests/survival/victim.cc: see tests/survival/victim.h.
#include "tests/survival/victim.h"

int main(int count, char** words) {
  const std::string wanted = count > 1 ? words[1] : "";
  const victim::Arguments arguments(count > 2 ? count - 2 : 0, words + 2);
  for (const auto* acts :
       {&victim::kHeapActs, &victim::kThreadActs, &victim::kStormActs, &victim::kProcessActs, &victim::kExactActs}) {
    for (const victim::Act& act : *acts) {
      if (wanted != act.name) continue;
      act.run(arguments);
      return 0;
    }
  }
  fprintf(stderr, "victim: no act is called %s\n", wanted.c_str());
  return 2;
}
