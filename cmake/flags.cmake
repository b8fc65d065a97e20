# Compiler flags shared by every target, and the two kinds of library: camprobe_layer() for the collector's side,
# camprobe_injected() for code that is loaded into a target and therefore may not throw, allocate or pull in libstdc++.
add_compile_options(-Wall -Wextra)
if(CAMPROBE_WERROR)
  add_compile_options(-Werror)
endif()
if(CAMPROBE_COVERAGE)
  add_compile_options(--coverage -O0)
  add_link_options(--coverage)
endif()
# Sanitizers instrument the collector's side and the tests. libcamprobe.so is never instrumented (probe/CMakeLists.txt):
# it is loaded into programs without a sanitizer's run time, which cannot be preloaded. The injected layers' own tests
# link an instrumented copy of them.
if(CAMPROBE_SANITIZE)
  add_compile_options(-fsanitize=${CAMPROBE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CAMPROBE_SANITIZE})
  # GCC takes what a sanitizer adds for reads of variables that may not have been set: in Boost, of every optional.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
    # ThreadSanitizer does not see what atomic_thread_fence orders, and GCC says so at each.
    if(CAMPROBE_SANITIZE STREQUAL "thread")
      add_compile_options(-Wno-tsan)
    endif()
  endif()
endif()
if(CAMPROBE_FUZZ_LONG)
  # libFuzzer is led by the branches that an input takes, so all layers count theirs. What UndefinedBehaviorSanitizer finds
  # is a crash like any other, so that its input is kept. -O1: three layers of instrumentation take minutes a file above it.
  add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize-recover=all -O1 -gline-tables-only)
endif()

# A release has lines, names and inlined calls for backtraces, without types and variables: those are a third of a build.
# A target whose variables are to be read in a debugger is built with the debug preset.
string(REGEX REPLACE "-g( |$)" "-g1\\1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
string(REGEX REPLACE "-g( |$)" "-g1\\1" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

# For code that only asks and prints, once a run, and for tests: optimising it takes as long as compiling it.
set(CAMPROBE_NOT_HOT $<$<CONFIG:RelWithDebInfo>:-O1>)

# camprobe_unity(TARGET BATCH): compiles up to BATCH files of the target as one, where each by itself spends its time on the
# same large headers. Off in debug builds and for clang-tidy, so that every file still has to include what it uses.
option(CAMPROBE_UNITY "Compile files that share large headers together" ON)
function(camprobe_unity target batch)
  if(CAMPROBE_UNITY AND NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${batch})
  endif()
endfunction()

# camprobe_layer(NAME sources...): a static library of the collector's side.
function(camprobe_layer name)
  add_library(${name} STATIC ${ARGN})
endfunction()

# camprobe_injected(NAME sources...): a static library for code that ends up in libcamprobe.so (and in tests).
function(camprobe_injected name)
  add_library(${name} STATIC ${ARGN})
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics>
    -fvisibility=hidden -ftls-model=initial-exec -fno-stack-protector)
endfunction()
