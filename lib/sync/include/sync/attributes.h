// A file's extended attributes as a value: those that belong to users ("user.*"), as bytes in one
// form that is compared, sent and kept as it is. Pure.
//
//   attributes = (name value)*    texts: a number (LEB128) and so many bytes; sorted by name
//
// Of a name's bytes nothing is left out ("user.comment"). Empty: it has none. Attributes of the
// system and of its security (system.*, security.*, trusted.*) are never among them: those say what
// may be done with a file at this machine, and by whom here.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace hasp::sync {

using AttributeMap = std::map<std::string, std::string>;

// Of a file, as written; what the kernel bounds a single one and the list of names by.
inline constexpr std::size_t attributes_bytes_max = std::size_t{64} * 1024;
inline constexpr std::size_t attribute_name_bytes_max = 255;
inline constexpr std::string_view attribute_prefix = "user.";

// "user." and at least one byte more, no NUL.
bool valid_attribute_name(std::string_view name);
std::string write_attributes(const AttributeMap& attributes);
// Code::refused for bytes that no write_attributes() gives, or beyond a limit.
Result<AttributeMap> read_attributes(std::string_view bytes);

// What becomes of `onto` when all that differs between `before` and `after` is done to it. Where
// the two ways differ about a name, `after` counts. All three as write_attributes() gives them, and
// what comes out, too; `onto` as it is, where that would be too much.
std::string carry_over(const std::string& before, const std::string& after,
                       const std::string& onto);
// What both sides did since `before`. Where they differ about a name `theirs` counts; where both
// would be too much, names that are new in `mine` are left out, or at last all that `mine` did.
std::string merge_attributes(const std::string& before, const std::string& mine,
                             const std::string& theirs);

} // namespace hasp::sync
