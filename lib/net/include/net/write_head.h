// Writes heads into a buffer: the only place where bytes of a head come into being.
#pragma once

#include "base/bytes.h"
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
    // a path or query leave percent-encoded. `clean`: a parser has seen that there are none.
    void request_line(std::string_view method, std::string_view path, bool has_query,
                      std::string_view query, bool clean = false);
    // "HTTP/1.1 status phrase".
    void status_line(int status);
    // Checked: a token, and a value without control characters.
    void field(std::string_view name, std::string_view value);
    // Under a literal name.
    void field(std::string_view name, std::uint64_t value);
    // Under a literal name, or one that a manifest's parser took; the value is checked.
    void value(std::string_view name, std::string_view value);
    // Not checked: from a parser, or a literal.
    void copy(const Header& header) {
        // Nearly everybody writes "name: value": the line is in the parser's buffer as it is to be
        // written, and two copies and a colon become one copy.
        const char* const colon = header.name.data() + header.name.size();
        if (colon + 2 != header.value.data() || colon[0] != ':' || colon[1] != ' ' ||
            header.value.empty()) {
            line(header.name, header.value);
            return;
        }
        const std::size_t size = header.name.size() + 2 + header.value.size();
        if (has_room(size + 2)) {
            at_ = copy_short(at_, header.name.data(), size);
            end_line();
        }
    }
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
    bool has_room(std::size_t size) {
        failed_ = failed_ || static_cast<std::size_t>(end_ - at_) < size;
        return !failed_;
    }
    void raw(std::string_view bytes) {
        if (has_room(bytes.size())) {
            at_ = copy_short(at_, bytes.data(), bytes.size());
        }
    }
    void line(std::string_view name, std::string_view value) {
        if (has_room(name.size() + value.size() + 4)) {
            at_ = copy_short(at_, name.data(), name.size());
            *at_++ = ':';
            *at_++ = ' ';
            at_ = copy_short(at_, value.data(), value.size());
            end_line();
        }
    }
    void end_line() {
        *at_++ = '\r';
        *at_++ = '\n';
    }
    void target_part(std::string_view text, bool is_query);
    char* begin_;
    char* at_;
    char* end_;
    bool failed_ = false;
};

// Copies fields of a parsed head into a writer. Lines that stand next to each other in the parser's
// buffer, each as it is to be written, go in one piece: a browser's request is one such piece or
// two. Ends before anything else is written, or is told to flush().
class FieldCopier {
  public:
    explicit FieldCopier(HeadWriter& out) : out_(out) {}
    ~FieldCopier() { flush(); }
    FieldCopier(const FieldCopier&) = delete;
    FieldCopier& operator=(const FieldCopier&) = delete;

    // Not checked: from a parser.
    void copy(const Header& field) {
        if (!field.as_written) {
            flush();
            out_.copy(field);
            return;
        }
        if (field.name.data() != end_) {
            flush();
            begin_ = field.name.data();
        }
        end_ = field.value.data() + field.value.size() + 2;
    }
    void flush() {
        if (begin_ != end_) {
            out_.block({begin_, static_cast<std::size_t>(end_ - begin_)});
        }
        begin_ = end_ = nullptr;
    }

  private:
    HeadWriter& out_;
    const char* begin_ = nullptr; // lines that are still to be copied
    const char* end_ = nullptr;
};

} // namespace hasp::net
