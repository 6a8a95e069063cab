// Writes heads into a buffer: the only place where bytes of a head come into being.
#pragma once

#include "net/head.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hasp::net {

// Appends to a fixed span; too little room or a name or value that is not allowed set failed(), and
// nothing written counts then. No allocation.
class HeadWriter {
  public:
    explicit HeadWriter(std::span<char> into)
        : begin_(into.data()), at_(begin_), end_(begin_ + into.size()) {}

    // "METHOD path[?query] HTTP/1.1". Characters that RFC 3986 does not allow but browsers send in
    // a path or query leave percent-encoded.
    void request_line(std::string_view method, std::string_view path, bool has_query,
                      std::string_view query);
    // "HTTP/1.1 status phrase".
    void status_line(int status);
    // Checked: a token, and a value without control characters.
    void field(std::string_view name, std::string_view value);
    // Under a literal name.
    void field(std::string_view name, std::uint64_t value);
    // Not checked: from a parser, or a literal.
    void copy(const Header& header);
    void trusted(std::string_view name, std::string_view value) { line(name, value); }
    // "Content-Length: n" or "Transfer-Encoding: chunked"; nothing for none and until_close.
    void framing(Framing framing, std::uint64_t length);
    // Complete lines with CRLF, valid: for fields that are the same in every message.
    void block(std::string_view lines) { raw(lines); }
    // The empty line.
    void end() { raw("\r\n"); }

    bool failed() const { return failed_; }
    std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }
    std::string_view text() const { return {begin_, size()}; }

  private:
    void raw(std::string_view bytes);
    void line(std::string_view name, std::string_view value);
    void target_part(std::string_view text, bool is_query);
    char* begin_;
    char* at_;
    char* end_;
    bool failed_ = false;
};

} // namespace hasp::net
