#include "unpacked.h"

#include <algorithm>

namespace hasp::sync {

UnpackedFile::UnpackedFile(ReadFile& file, std::uint64_t size, std::vector<UnpackedPart> parts)
    : file_(file), parts_(std::move(parts)), size_(size) {
    std::uint64_t packed = 0;
    std::uint64_t plain = 0;
    for (const UnpackedPart& part : parts_) {
        at_.push_back(part.from - packed + plain);
        packed += part.length;
        plain += part.plain.size();
    }
    size_ = size - packed + plain;
}

UnpackedFile::Run UnpackedFile::run_at(std::uint64_t offset) const {
    const auto next = std::upper_bound(at_.begin(), at_.end(), offset);
    const std::uint64_t until = next == at_.end() ? size_ : *next;
    if (next == at_.begin()) {
        return {until - offset, offset};
    }
    const auto index = static_cast<std::size_t>(next - at_.begin()) - 1;
    const UnpackedPart& part = parts_[index];
    const std::uint64_t within = offset - at_[index];
    if (within < part.plain.size()) {
        return {part.plain.size() - within, within, index};
    }
    return {until - offset, part.from + part.length + within - part.plain.size()};
}

Result<std::size_t> UnpackedFile::read(std::uint64_t offset, std::span<char> into) {
    std::size_t done = 0;
    while (done < into.size() && offset < size_) {
        const Run run = run_at(offset);
        std::size_t n =
            static_cast<std::size_t>(std::min<std::uint64_t>(run.length, into.size() - done));
        if (run.in_file()) {
            auto got = file_.read(run.from, into.subspan(done, n));
            if (!got) {
                return got.error();
            }
            n = *got;
        } else {
            parts_[run.part].plain.copy(into.data() + done, n, static_cast<std::size_t>(run.from));
        }
        if (n == 0) {
            break; // the file has become shorter
        }
        done += n;
        offset += n;
    }
    return done;
}

Result<FileStat> UnpackedFile::stat() {
    auto stat = file_.stat();
    if (stat) {
        stat->size = size_;
    }
    return stat;
}

} // namespace hasp::sync
