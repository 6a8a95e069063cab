# hasp_embed(TARGET NAME files…): compiles text files into TARGET. The sources of TARGET then have
#   #include "embedded/NAME.h"      hasp::embedded::NAME() → std::span<const hasp::store::EmbeddedFile>, in the order given
# and nobody else, since the folder is private. A changed file runs the configure step again. TARGET must link hasp_store.
function(hasp_embed TARGET NAME)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  set(entries "")
  foreach(file IN LISTS ARGN)
    set(path ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    if(NOT EXISTS ${path})
      message(FATAL_ERROR "hasp_embed(${TARGET} ${NAME}): there is no ${path}")
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(READ ${path} text)
    if(text MATCHES "\\)hasp_embed\"")
      message(FATAL_ERROR "hasp_embed(${TARGET} ${NAME}): ${file} contains the delimiter of the generated literal")
    endif()
    get_filename_component(base ${path} NAME)
    string(APPEND entries "    {\"${base}\", R\"hasp_embed(${text})hasp_embed\"},\n")
  endforeach()
  set(HASP_EMBED_NAME ${NAME})
  set(HASP_EMBED_ENTRIES "${entries}")
  file(CONFIGURE OUTPUT ${folder}/${NAME}.h @ONLY CONTENT [[
// Made by hasp_embed (cmake/embed.cmake).
#pragma once
#include "store/embedded.h"
#include <span>
namespace hasp::embedded {
std::span<const store::EmbeddedFile> @HASP_EMBED_NAME@();
}
]])
  file(CONFIGURE OUTPUT ${folder}/${NAME}.cpp @ONLY CONTENT [[
// Made by hasp_embed (cmake/embed.cmake).
#include "embedded/@HASP_EMBED_NAME@.h"
namespace hasp::embedded {
static const store::EmbeddedFile @HASP_EMBED_NAME@_files[] = {
@HASP_EMBED_ENTRIES@};
std::span<const store::EmbeddedFile> @HASP_EMBED_NAME@() { return @HASP_EMBED_NAME@_files; }
}  // namespace hasp::embedded
]])
  target_sources(${TARGET} PRIVATE ${folder}/${NAME}.cpp)
  target_include_directories(${TARGET} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
