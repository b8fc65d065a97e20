# Run by cmake -P: installs what APP/package-lock.json names, unless that very lock is installed already.
#   cmake -DNPM=... -DAPP=directory -P npm_ci.cmake
set(installed "${APP}/node_modules/.package-lock.json")
if(EXISTS "${installed}" AND NOT "${APP}/package-lock.json" IS_NEWER_THAN "${installed}")
  return()
endif()
execute_process(COMMAND "${NPM}" ci --prefer-offline --no-audit --no-fund WORKING_DIRECTORY "${APP}" RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE why)
if(failed)
  message(FATAL_ERROR "`npm ci` failed in ${APP}. Check the network, or run it there by hand.\n${why}")
endif()
file(TOUCH "${installed}")
