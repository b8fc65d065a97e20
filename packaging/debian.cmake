# Debian packages: `cpack -G DEB` in the build directory makes one of each component. scripts/packages does that and has
# lintian look at them.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME camprobe)
set(CPACK_PACKAGE_VENDOR camprobe)
# Whoever gives packages to others names himself here. The default is no address, and looks like none: ".invalid" is kept
# for that (RFC 2606).
set(CAMPROBE_PACKAGE_CONTACT "camprobe developers <nobody@camprobe.invalid>" CACHE STRING "Maintainer of the packages: Name <address>")
set(CPACK_PACKAGE_CONTACT "${CAMPROBE_PACKAGE_CONTACT}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY "${CMAKE_BINARY_DIR}/packages")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL camprobe library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(version "${PROJECT_VERSION}-1")

set(CPACK_DEBIAN_CAMPROBE_PACKAGE_NAME camprobe)
set(CPACK_DEBIAN_CAMPROBE_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_CAMPROBE_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_CAMPROBE_PACKAGE_DEPENDS "libcamprobe0 (= ${version})")
set(CPACK_DEBIAN_CAMPROBE_PACKAGE_SUGGESTS "chromium")  # report --format pdf
set(CPACK_DEBIAN_CAMPROBE_DESCRIPTION "finds leaks and degradation of servers under load
camprobe starts a server under a preloaded probe, drives it with the load
tool of your choice, and says what leaks, what gets slower, since when, and
which stack is to blame. The server is not changed; any dynamically linked
program will do (C, C++, Rust, Node.js, Python, the JVM).")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libcamprobe0)
# Those of several architectures may be installed together: what is not below lib/<multiarch> is the same in all of them.
# CPack knows the field from 3.31 on; before, it goes behind another one.
if(CMAKE_VERSION VERSION_LESS 3.31)
  set(same "\nMulti-Arch: same")
else()
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_MULTIARCH same)
  set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_MULTIARCH same)
endif()
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION "libs${same}")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
# A trigger tells the loader's cache, once for all packages; CPack would write scripts that do it for each.
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_SOURCE_DIR}/debian/triggers")
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "probe that camprobe preloads into servers
libcamprobe.so is named by LD_PRELOAD. It writes samples of a program's CPU
time, allocations and input and output into shared memory, from where the
camprobe command reads them. Nothing is linked against it.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libcamprobe-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION "libdevel${same}")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libcamprobe0 (= ${version})")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "names a program's own work for the camprobe probe (header)
camprobe.h names intervals of a program's work, so that the probe can time
them. Nothing is linked: without the probe each call does nothing.")

# What every package has to have under share/doc, and lintian's overrides with their reasons.
find_program(GZIP gzip REQUIRED)
configure_file(debian/changelog.in "${CMAKE_CURRENT_BINARY_DIR}/changelog" @ONLY)
execute_process(COMMAND "${GZIP}" -9nkf "${CMAKE_CURRENT_BINARY_DIR}/changelog" COMMAND_ERROR_IS_FATAL ANY)
foreach(component camprobe library development)
  string(TOUPPER ${component} upper)
  set(name "${CPACK_DEBIAN_${upper}_PACKAGE_NAME}")
  install(FILES debian/copyright DESTINATION "share/doc/${name}" COMPONENT ${component})
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/changelog.gz" DESTINATION "share/doc/${name}" COMPONENT ${component} RENAME changelog.Debian.gz)
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/debian/${name}.lintian-overrides")
    install(FILES "debian/${name}.lintian-overrides" DESTINATION "share/lintian/overrides" COMPONENT ${component} RENAME "${name}")
  endif()
endforeach()
include(CPack)
