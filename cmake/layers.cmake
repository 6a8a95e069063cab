# The layer table: a library may use only libraries of a lower layer, and says which. An upward or sideways dependency stops
# the configure step here; an include of an undeclared library does not compile, since its folder is not on the include path.
set(HASP_LIBS base store ipc registry billing net trust run sync signon cache passon backup maint)
set(HASP_LAYER_base 0)
set(HASP_LAYER_store 1)
set(HASP_LAYER_ipc 1)
set(HASP_LAYER_registry 2)
set(HASP_LAYER_billing 2)
set(HASP_LAYER_net 2)
set(HASP_LAYER_trust 2)
set(HASP_LAYER_run 3)
set(HASP_LAYER_sync 3)
set(HASP_LAYER_signon 3)
set(HASP_LAYER_cache 3)
set(HASP_LAYER_passon 4)
set(HASP_LAYER_backup 4)
set(HASP_LAYER_maint 4)

# hasp_library(NAME SOURCES … HEADERS … [DEPS lib…] [PACKAGES target…])
#   HEADERS   public ones, in include/NAME/ ; each must compile alone (target all_verify_interface_header_sets)
#   DEPS      lower libraries of ours (base is always there)
#   PACKAGES  third-party targets: private, so that they stay out of public headers
function(hasp_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;DEPS;PACKAGES" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "hasp_library(${NAME}): unknown arguments: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT DEFINED HASP_LAYER_${NAME})
    message(FATAL_ERROR "lib/${NAME} is not in the layer table of cmake/layers.cmake: add it there, with its layer")
  endif()
  add_library(hasp_${NAME} STATIC ${ARG_SOURCES})
  target_sources(hasp_${NAME} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${ARG_HEADERS})
  # More at once than elsewhere: names that only their file sees are alike in tests and in commands.
  set_target_properties(hasp_${NAME} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON UNITY_BUILD_BATCH_SIZE 16)
  target_include_directories(hasp_${NAME} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(dep IN LISTS ARG_DEPS)
    if(NOT DEFINED HASP_LAYER_${dep})
      message(FATAL_ERROR "lib/${NAME} depends on lib/${dep}, which is not in the layer table")
    endif()
    if(NOT HASP_LAYER_${dep} LESS HASP_LAYER_${NAME})
      message(FATAL_ERROR "lib/${NAME} (layer ${HASP_LAYER_${NAME}}) must not depend on lib/${dep} (layer ${HASP_LAYER_${dep}})")
    endif()
    target_link_libraries(hasp_${NAME} PUBLIC hasp_${dep})
  endforeach()
  target_link_libraries(hasp_${NAME} PUBLIC hasp_settings PRIVATE ${ARG_PACKAGES})
  if(NOT NAME STREQUAL "base")
    target_link_libraries(hasp_${NAME} PUBLIC hasp_base)
  endif()
endfunction()

# What a test takes of the machine, in sixths of a processor (scripts/test): one that computes, and an end-to-end test, which
# mostly waits.
set(HASP_TEST_BUSY 6)
set(HASP_TEST_WAITS 3)

# What every test reads first, compiled once: it is a second and a half of the compiler's time. A program, since what a
# program and a library are compiled with differs.
function(hasp_test_headers)
  if(TARGET hasp_test_headers)
    return()
  endif()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/test_headers.cpp CONTENT "int main() {}\n")
  add_executable(hasp_test_headers ${CMAKE_BINARY_DIR}/test_headers.cpp)
  target_link_libraries(hasp_test_headers PRIVATE hasp_settings GTest::gtest GTest::gmock)
  target_precompile_headers(hasp_test_headers PRIVATE <gtest/gtest.h> <gmock/gmock.h> <algorithm> <functional> <map> <memory>
    <optional> <set> <string> <string_view> <vector>)
endfunction()

# hasp_test(NAME SOURCES … DEPS lib… [PACKAGES …] [TIMEOUT s] [LOCK name] [PLAIN_TOO]): one GoogleTest binary a library,
# built beside it.
#   LOCK       tests with the same one never run at the same time
#   PLAIN_TOO  sanitizers skip a part of it, or change what it measures: HASP_NOT_TWICE does not leave it out
function(hasp_test NAME)
  if(NOT HASP_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "PLAIN_TOO" "TIMEOUT;LOCK" "SOURCES;DEPS;PACKAGES" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${NAME}_test ${ARG_SOURCES})
  target_include_directories(${NAME}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(${NAME}_test PRIVATE hasp_${dep})
  endforeach()
  target_link_libraries(${NAME}_test PRIVATE hasp_settings ${ARG_PACKAGES} GTest::gtest GTest::gmock GTest::gtest_main)
  if(HASP_UNITY)
    hasp_test_headers()
    target_precompile_headers(${NAME}_test REUSE_FROM hasp_test_headers)
  endif()
  if(HASP_NOT_TWICE AND NOT HASP_SANITIZE AND NOT ARG_PLAIN_TOO)
    set_target_properties(${NAME}_test PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  set(lock)
  if(ARG_LOCK)
    set(lock RESOURCE_LOCK ${ARG_LOCK})
  endif()
  gtest_discover_tests(${NAME}_test PROPERTIES PROCESSORS ${HASP_TEST_BUSY} TIMEOUT ${ARG_TIMEOUT} LABELS unit ${lock})
endfunction()

# hasp_fuzz(NAME SOURCES … DEPS lib… CORPUS dir): a libFuzzer target under the preset fuzz; under the other presets the same
# source runs over its committed corpus as a test, so that a regression shows without clang. The first of SOURCES is the
# target, the others are what it needs beside the libraries.
function(hasp_fuzz NAME)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;DEPS;PACKAGES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  list(TRANSFORM ARG_DEPS PREPEND hasp_)
  if(HASP_FUZZ)
    add_executable(fuzz_${NAME} ${ARG_SOURCES})
    target_include_directories(fuzz_${NAME} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(fuzz_${NAME} PRIVATE ${ARG_DEPS} hasp_settings ${ARG_PACKAGES})
    target_link_options(fuzz_${NAME} PRIVATE -fsanitize=fuzzer)
  elseif(HASP_TESTS AND (HASP_SANITIZE OR NOT HASP_NOT_TWICE))
    # One program for all of them: each would be linked with half of hasp.
    if(NOT TARGET fuzz_replay)
      add_executable(fuzz_replay ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
      target_include_directories(fuzz_replay PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz)
      target_link_libraries(fuzz_replay PRIVATE hasp_settings)
    endif()
    list(POP_FRONT ARG_SOURCES source)
    set(wrapper ${CMAKE_BINARY_DIR}/fuzz_replay/${NAME}.cpp)
    file(CONFIGURE OUTPUT ${wrapper} @ONLY CONTENT [[
// Made by hasp_fuzz (cmake/layers.cmake).
#define LLVMFuzzerTestOneInput fuzz_@NAME@
#include "@source@"
#undef LLVMFuzzerTestOneInput
#include "replay.h"
static const hasp::fuzz::Replayed replayed_@NAME@{"@NAME@", fuzz_@NAME@};
]])
    get_target_property(there fuzz_replay SOURCES)
    list(REMOVE_ITEM ARG_SOURCES ${there})
    target_sources(fuzz_replay PRIVATE ${wrapper} ${ARG_SOURCES})
    target_include_directories(fuzz_replay PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(fuzz_replay PRIVATE ${ARG_DEPS} ${ARG_PACKAGES})
    add_test(NAME fuzz_corpus.${NAME} COMMAND fuzz_replay ${NAME} ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS})
    set_tests_properties(fuzz_corpus.${NAME} PROPERTIES PROCESSORS ${HASP_TEST_BUSY} LABELS unit TIMEOUT 120)
  endif()
endfunction()
