// Reads cases.txt, whose own beginning says how it is written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hasp::hostile {

enum class Side { request, answer, http2 };

struct Case {
    Side side = Side::request;
    int line = 0; // in the file
    std::string rfc;
    std::string name;
    std::string asked; // answer: what the request was
    std::string bytes;
    std::string body;                                        // http2: of the DATA frames
    std::vector<std::pair<std::string, std::string>> fields; // http2
    bool closes = false; // the sender ends the connection behind it
    // What must happen.
    std::vector<std::string> words;  // behind "="
    std::vector<std::string> passed; // heads that arrive at the other side, without standing fields
    std::vector<std::string> contents; // and their contents
    std::string told() const;          // "line 12: RFC 9112 §6.1: what it is"
    bool has(std::string_view word) const;
    std::vector<int> statuses() const;
};

// All of the file's; throws std::runtime_error with the line of what is not in its form.
const std::vector<Case>& cases();

// As "<" lines show it.
std::string shown(std::string_view bytes);

} // namespace hasp::hostile
