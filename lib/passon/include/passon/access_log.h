// The access log: one JSON line a request, buffered.
#pragma once

#include "base/fd.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::passon {

struct AccessLine {
    std::int64_t time_us = 0;    // wall clock of the request's head
    std::string_view request_id; // hex digits, not checked
    std::string_view from;       // "user", "child" or "parent"; a literal, as is `served`
    std::string_view peer;       // the neighbour's name, for child and parent
    std::string_view client;     // address of the user
    std::string_view user;
    std::string_view app;
    std::string_view method;
    std::string_view host;
    std::string_view path;      // without the query, which may hold secrets
    int status = 0;             // 0: no answer was begun
    std::uint64_t bytes_in = 0; // of the bodies
    std::uint64_t bytes_out = 0;
    std::int64_t duration_us = 0;
    std::string_view served; // "own", "here", "parent", "child", "direct" (sent above)
    std::string_view
        cache;            // "hit", "confirmed", "stale", "stored", "renewed"; a literal; else empty
    std::string_view why; // of a failure, for operators
    // Of a request that came with a trace and was sent on: the trace's id and our span's, in hex. A
    // trace that begins here has the request's id.
    std::string_view trace;
    std::string_view span;
};

// One thread: that of its engine. Lines are appended to one buffer and written in one write(2) when
// it is full or flush() is called (the engine calls it every
// Settings::access_flush_ms). What cannot be written is
// dropped and counted; it never blocks a request on a full pipe when the descriptor is
// non-blocking.
class AccessLog {
  public:
    static constexpr std::size_t buffer_bytes = 64 * 1024;

    // -1: no log. The descriptor (O_APPEND) is owned; `tier` stands in every line.
    AccessLog(Fd fd, std::string tier);
    ~AccessLog() { flush(); }
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    void write(const AccessLine& line);
    void flush();
    // Goes on in another file (SIGHUP), after what is buffered went to the old one.
    void reopen(Fd fd);
    std::uint64_t dropped_bytes() const { return dropped_bytes_; }
    bool pending() const { return size_ > 0; }

  private:
    static constexpr std::size_t buffer_room = buffer_bytes + 4 * 1024; // a line that begins in it
    static constexpr std::size_t tier_max = 512;
    void make_room();
    void write_out(std::string_view bytes);

    Fd fd_;
    std::string tier_;               // its part of every line
    std::unique_ptr<char[]> buffer_; // null: there was never a log
    std::size_t size_ = 0;
    std::int64_t second_ = 0; // of the line before
    std::string time_;        // and how a line of that second begins
    std::uint64_t dropped_bytes_ = 0;
};

} // namespace hasp::passon
