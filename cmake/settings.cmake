# Language, warnings and hardening as INTERFACE targets: every target of the project links them, nothing is global.
add_library(hasp_settings INTERFACE)
target_compile_features(hasp_settings INTERFACE cxx_std_20)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
target_compile_options(hasp_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual
  -Wformat=2 -Wimplicit-fallthrough -Wundef -Werror -fno-strict-aliasing -fstack-protector-strong)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(hasp_settings INTERFACE -Wduplicated-cond -Wlogical-op)
endif()
if(HASP_OPTIMIZE_DEV)
  # -g1: functions and lines for back-traces. Variables and types would take 30 % of the compiler's time; for a debugger,
  # configure with -DHASP_OPTIMIZE_DEV=OFF.
  target_compile_options(hasp_settings INTERFACE $<IF:$<CXX_COMPILER_ID:GNU>,-Og,-O1> -g1)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The compiler collects its garbage when it has this many KiB: a fourteenth of its time, and its memory is free.
    target_compile_options(hasp_settings INTERFACE --param=ggc-min-heapsize=524288)
    # It takes half of the default linker's time, and is in the same package.
    find_program(HASP_GOLD ld.gold)
    if(HASP_GOLD)
      target_link_options(hasp_settings INTERFACE -fuse-ld=gold)
    endif()
  endif()
endif()
if(HASP_UNITY)
  # Several files of a target in one go of the compiler: most of its time goes into the headers that they share. A file must
  # compile alone all the same, which the preset release shows. A test's fixture in an anonymous namespace is no fault here.
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
  target_compile_options(hasp_settings INTERFACE -Wno-subobject-linkage)
endif()
if(HASP_HARDEN)
  target_compile_options(hasp_settings INTERFACE -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -D_GLIBCXX_ASSERTIONS
    -fstack-clash-protection -fcf-protection=full)
  target_link_options(hasp_settings INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(HASP_SANITIZE)
  target_compile_options(hasp_settings INTERFACE -fsanitize=${HASP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if("${HASP_SANITIZE}" MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # It describes every global variable in 58 MB of pointers. At a fixed address the linker fills them in, and not each of the
    # thousands of processes that the tests start: 56 ms of processor for one instead of 96.
    target_link_options(hasp_settings INTERFACE -no-pie)
  endif()
  if("${HASP_SANITIZE}" MATCHES "address" AND "${HASP_SANITIZE}" MATCHES "undefined")
    # AddressSanitizer reports what the first two would, an access through a null pointer and one beyond an object's end. The
    # third costs a sixth of the compiler's time; the preset fuzz, with the decoders in it, has it still.
    target_compile_options(hasp_settings INTERFACE -fno-sanitize=null,object-size,alignment)
  endif()
  target_link_options(hasp_settings INTERFACE -fsanitize=${HASP_SANITIZE})
endif()
if(HASP_FUZZ)
  target_compile_options(hasp_settings INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  target_link_options(hasp_settings INTERFACE -fsanitize=address,undefined)
endif()
find_package(Threads REQUIRED)
target_link_libraries(hasp_settings INTERFACE Threads::Threads)
