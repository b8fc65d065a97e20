// push/profile_request.h
//
// A stretch of a run as the requests that hand its profiles to Pyroscope: POST /ingest with name, from and until in the
// query, and a form with the fields `profile` (pprof, gzipped) and `sample_type_config`, as its documentation
// has it ("Pyroscope server HTTP API", ingestion of pprof with a custom sample type configuration).
//
//   - Of each process one request for CPU time and one for the heap: the store names what it keeps after the first kind
//     of figure that it recognises.
//   - `format` is left out. With format=pprof the servers take the whole body for the profile and do not look for a
//   form.
//   - alloc_* are those of the stretch, not since the program began, so the configuration does not call them
//     cumulative, as the server's own one for Go does.
#pragma once

#include <cstdint>
#include <vector>

#include "push/parcel.h"
#include "push/receiver.h"
#include "run/reader.h"

namespace camprobe::push {

// Nothing for processes that have nothing there. `from_s` and `to_s`: seconds of the run. `labels` with job and
// instance; the program's name is the application's, with a label pid. Throws exceptions of run reading only where the
// file is damaged (run.error() says how).
std::vector<Parcel> profile_requests(run::Reader& run, std::int64_t from_s, std::int64_t to_s, const Receiver& receiver,
                                     const Labels& labels);

}  // namespace camprobe::push
