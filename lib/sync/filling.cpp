#include "sync/filling.h"

#include "scan.h"

#include <algorithm>

namespace hasp::sync {

namespace {
constexpr std::size_t read_block_bytes = 256 * 1024;

Naming naming_of(const Absent& absent) {
    return {absent.size, named_by_chunks(absent.name)};
}
} // namespace

Filling::Filling(std::unique_ptr<AbsentFile> into, Disk& disk, std::string copy)
    : into_(std::move(into)), disk_(disk), copy_(std::move(copy)),
      naming_(naming_of(into_->absent())) {
    begin();
}

Filling::~Filling() {
    drop_copy();
}

void Filling::drop_copy() {
    if (copy_file_ != nullptr || !copied_.empty()) {
        copy_file_.reset();
        copied_.clear();
        [[maybe_unused]] const Status gone = disk_.remove(copy_);
    }
}

void Filling::begin() {
    drop_copy();
    have_ = 0;
    lost_ = false;
    naming_ = naming_of(absent());
    auto room = copy_.empty() ? Result<std::uint64_t>(std::uint64_t{0}) : disk_.free_bytes();
    if (room && *room >= 2 * absent().size + held_reserve_bytes) {
        if (auto made = disk_.create(copy_, 0600, {}); made) {
            copy_file_ = *std::move(made);
        }
    }
}

bool Filling::take_up(std::uint64_t most) {
    const std::uint64_t begun = into_->begun();
    const std::uint64_t end = std::min(begun, have_ + most);
    std::string block(read_block_bytes, '\0');
    while (have_ < end) {
        const std::uint64_t some = std::min<std::uint64_t>(block.size(), end - have_);
        auto got = into_->read(have_, {block.data(), static_cast<std::size_t>(some)});
        if (!got || *got == 0) {
            return false;
        }
        keep({block.data(), *got});
    }
    return have_ < begun;
}

// What is in its place by now.
void Filling::keep(std::string_view bytes) {
    if (copy_file_ != nullptr && !copy_file_->write(bytes)) {
        drop_copy(); // it does without
    }
    naming_.update(bytes);
    have_ += bytes.size();
}

Status Filling::take(std::string_view bytes) {
    if (bytes.size() > absent().size - have_) {
        return fail(Code::refused, "more of a file came than there is");
    }
    if (lost_) {
        return fail(Code::refused, "what comes before it could not be written");
    }
    if (Status written = into_->write(have_, bytes); !written) {
        lost_ = true;
        return written;
    }
    keep(bytes);
    return {};
}

Status Filling::finish() {
    if (have_ != absent().size) {
        return fail(Code::refused, "less of a file came than there is");
    }
    digest_ = naming_.finish();
    if (digest_.hash != absent().name) {
        return fail(Code::refused, "a file did not come out as it was at the home");
    }
    auto done = into_->finish();
    if (!done) {
        return done.error();
    }
    stat_ = *done;
    if (copy_file_ != nullptr) {
        copy_file_.reset();
        copied_ = copy_;
    }
    return {};
}

} // namespace hasp::sync
