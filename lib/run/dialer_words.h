// The dialer's command line, both ways. Private.
#pragma once

#include "run/dialer.h"

#include <optional>

namespace hasp::run {

struct DialerCall {
    DialerOptions options;
    std::vector<std::string> command;
};

// dialer_word and what stands between it and the command.
std::vector<std::string> dialer_words(const DialerOptions& options);
// The reverse, without dialer_word and with the command after "--"; nullopt when malformed.
std::optional<DialerCall> parse_dialer_words(const std::vector<std::string>& words);

} // namespace hasp::run
