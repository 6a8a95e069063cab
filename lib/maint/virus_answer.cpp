// What scanners answer. Pure.
#include "base/text.h"
#include "sync/batch.h"
#include "virus_scanner.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::string_view stream_prefix = "stream: ";
constexpr std::string_view found_suffix = " FOUND";
constexpr std::string_view error_suffix = " ERROR";
} // namespace

ScanVerdict ScanVerdict::infected(std::string_view name) {
    std::string text(name.substr(0, sync::virus_name_bytes_max));
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c <= ' ' || c >= '\x7f'; }, '_');
    return {Kind::infected, text.empty() ? "unnamed" : std::move(text), false};
}

std::string scan_words(std::string_view text) {
    std::string out(text.substr(0, scan_words_bytes_max));
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return out;
}

std::string virus_name_in(std::string_view line) {
    line = line.substr(0, line.find('\n'));
    if (line.ends_with(found_suffix)) {
        line.remove_suffix(found_suffix.size());
        const std::size_t colon = line.rfind(": ");
        line = colon == std::string_view::npos ? line : line.substr(colon + 2);
    }
    return ScanVerdict::infected(trim(line)).text;
}

ScanVerdict parse_clamd_answer(std::string_view answer) {
    if (answer == "stream: OK") {
        return ScanVerdict::clean();
    }
    // Whatever its name looks like: what was found is never taken for clean.
    if (answer.starts_with(stream_prefix) && answer.ends_with(found_suffix) &&
        answer.size() > stream_prefix.size() + found_suffix.size()) {
        answer.remove_prefix(stream_prefix.size());
        answer.remove_suffix(found_suffix.size());
        return ScanVerdict::infected(answer);
    }
    if (answer.size() > error_suffix.size() && answer.ends_with(error_suffix)) {
        answer.remove_suffix(error_suffix.size());
        return ScanVerdict::unknown("clamd says: " + scan_words(answer));
    }
    return ScanVerdict::unreachable("what answers is not clamd: " + scan_words(answer));
}

} // namespace hasp::maint
