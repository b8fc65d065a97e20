// collector/attach/node_log.h
//
// --perf-basic-prof makes V8 write an empty-handed log, isolate-0x...-<pid>-v8.log, into the program's working
// directory, and no option allowed in NODE_OPTIONS turns that off. Since camprobe asked for the maps, it takes the log
// away afterwards, unless somebody wanted one: then it has more than the few lines about memory ranges and shared
// libraries.
#pragma once

#include <sys/types.h>

#include <string>

namespace camprobe::attach {

// Removes such logs of `pid` in `directory`. Gives how many.
int remove_v8_logs(const std::string& directory, pid_t pid);

}  // namespace camprobe::attach
