// What stands beside a stored body: which request it answers, for whom, when it came, and its head.
#pragma once

#include "net/head.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::cache {

struct Label {
    // The request. All of it is compared as it is.
    std::string owner; // the only user who may see it; empty: shared
    std::string app;
    std::string origin; // "scheme://authority" that the user typed
    std::string mount;
    std::string target;                                    // path and query
    std::vector<std::pair<std::string, std::string>> vary; // names and values (rules.h)
    // Of the app.
    std::string release; // that answered; empty: not known
    bool open = false;   // to whoever is not signed on
    // Wall clock, seconds.
    std::int64_t request_s = 0;
    std::int64_t response_s = 0;
    std::int64_t confirmed_s = 0; // the last word of the tier that serves the app about it
    // "HTTP/1.1 200 OK\r\n", fields and the empty line: as it goes out, but for what belongs to one
    // connection and for the length of the body.
    std::string head;
};

std::string pack(const Label& label);
// False: these bytes are no label. `into` is then of no use.
bool unpack(std::string_view bytes, Label& into);

// Parses `label.head` into views of it. False: it is no head.
bool parse_head(const Label& label, net::AnswerHead& into);

} // namespace hasp::cache
