// Levels (what a tier has reached, holds, orders: never events) are said again whenever something
// in them changed, and are then mostly what they were. So each goes as its difference to the last
// of its type on the same stream:
//
//   {"t":"again","of":"report"} + body: a patch (text_patch.h) from the last payload to this one
//
// A payload is the head's text, a zero byte and the body. Both ends remember the last payload of
// each type, from the first that was sent whole; what is larger than level_bytes_max is sent whole
// and forgotten. Only between neighbours that both have the feature "again". Secrets that somebody
// typed never travel with a level, so that the length of a patch tells nothing about them (CRIME).
// One of these for each direction of a stream; one thread.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::maint {

inline constexpr std::size_t level_bytes_max = 256U << 10; // remembered, of each type

class Levels {
  public:
    static bool is_level(std::string_view type);

    // The sender: the patch that stands for this message, or nothing when it has to go whole.
    // Either way it is what the next one is compared with.
    std::optional<std::string> shorten(const std::string& type, std::string_view head,
                                       std::string_view body);
    // The receiver, of a level that came whole.
    void heard(const std::string& type, std::string_view head, std::string_view body);

    struct Whole {
        std::string head;
        std::string body;
    };
    // The receiver. Code::refused when there is nothing to compare with, or it does not fit: the
    // two sides no longer agree, and the stream must end.
    Result<Whole> restore(const std::string& type, std::string_view patch);

  private:
    void remember(const std::string& type, std::string payload);

    std::map<std::string, std::string> last_;
};

} // namespace hasp::maint
