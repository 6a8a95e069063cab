#include "sync/scratch.h"

#include "temporary_file.h"

#include "sync/tree.h"

namespace hasp::sync {

Scratch::~Scratch() {
    file_.reset();
    if (mine_) {
        [[maybe_unused]] const Status gone = disk_.remove(path_);
    }
}

Status Scratch::write(std::string_view bytes) {
    size_ += bytes.size();
    if (size_ <= memory_file_bytes_max) {
        memory_.append(bytes);
        return {};
    }
    if (file_ == nullptr) {
        auto made = disk_.create(path_, mode_, owner_);
        if (!made) {
            return made.error();
        }
        mine_ = true;
        file_ = *std::move(made);
        if (Status written = file_->write(memory_); !written) {
            return written;
        }
        memory_.clear();
        memory_.shrink_to_fit();
    }
    return file_->write(bytes);
}

Result<std::unique_ptr<ReadFile>> Scratch::finish() {
    if (file_ == nullptr) {
        return std::unique_ptr<ReadFile>(new MemoryFile(std::move(memory_)));
    }
    file_.reset();
    auto opened = disk_.open(path_);
    if (!opened) {
        return opened.error();
    }
    mine_ = false;
    return std::unique_ptr<ReadFile>(new TemporaryFile(disk_, path_, *std::move(opened)));
}

Status make_folders(Disk& disk, const std::string& path) {
    if (path.empty()) {
        return {};
    }
    if (Status above = make_folders(disk, parent_path(path)); !above) {
        return above;
    }
    Status made = disk.make_folder(path, 0700, {});
    if (made) {
        return disk.sync_folder(parent_path(path));
    }
    return made.error().code == Code::conflict ? Status{} : made;
}

} // namespace hasp::sync
