#include "output_ring.h"

#include "base/files.h"
#include "base/text.h"

#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

namespace hasp::run {

void OutputRing::add(std::string_view bytes) {
    if (bytes.size() > output_bytes_max) {
        bytes.remove_prefix(bytes.size() - output_bytes_max);
    }
    bytes_.append(bytes);
    // Cut in big steps, so that a chatty app does not make us move 64 KB for each line.
    if (bytes_.size() > 2 * output_bytes_max) {
        bytes_.erase(0, bytes_.size() - output_bytes_max);
    }
    dirty_ = true;
}

std::string OutputRing::last_lines(int count) const {
    std::string_view text = bytes_;
    if (text.size() > output_bytes_max) {
        text.remove_prefix(text.size() - output_bytes_max);
    }
    while (text.ends_with('\n')) {
        text.remove_suffix(1);
    }
    std::size_t from = text.size();
    for (int i = 0; i < count && from > 0; ++i) {
        const std::size_t line_end = text.rfind('\n', from - 1);
        from = line_end == std::string_view::npos ? 0 : line_end;
    }
    from += text.substr(from).starts_with('\n') ? 1 : 0;
    std::string out(text.substr(from));
    for (char& c : out) {
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
            c = '.';
        }
    }
    return out;
}

void OutputRing::save(const std::string& path) {
    if (!dirty_ || path.empty()) {
        return;
    }
    dirty_ = false;
    const std::string temporary = path + ".new";
    const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (fd && write_all(fd.get(), bytes_).ok()) {
        (void)::rename(temporary.c_str(), path.c_str());
    }
}

} // namespace hasp::run
