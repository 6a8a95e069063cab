#include "sync/blobs.h"

#include "base/text.h"
#include "trust/hash.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

namespace {

class TemporaryFile final : public ReadFile {
  public:
    TemporaryFile(Disk& disk, std::string path, std::unique_ptr<ReadFile> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
    ~TemporaryFile() override {
        file_.reset();
        [[maybe_unused]] const Status gone = disk_.remove(path_);
    }
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        return file_->read(offset, into);
    }
    Result<FileStat> stat() override { return file_->stat(); }

  private:
    Disk& disk_;
    std::string path_;
    std::unique_ptr<ReadFile> file_;
};

} // namespace

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

Status Blobs::open() {
    Status made = make_folders(disk_, folder_);
    return made ? make_folders(disk_, temporary_) : made;
}

std::string Blobs::path_of(const std::string& hash) const {
    const std::string hex = to_hex(hash);
    return folder_ + "/" + hex.substr(0, 2) + "/" + hex.substr(2);
}

bool Blobs::staged(const std::string& hash) const {
    return std::any_of(staged_.begin(), staged_.end(),
                       [&](const Staged& s) { return s.hash == hash; });
}

Result<bool> Blobs::has(const std::string& hash) {
    if (hash.size() != hash_bytes) {
        return false;
    }
    auto stat = disk_.stat(path_of(hash));
    if (!stat && stat.error().code != Code::not_found) {
        return stat.error();
    }
    return stat.ok();
}

Status Blobs::stage(const std::string& hash, const Pull& content) {
    const std::string path = temporary_ + "/blob" + std::to_string(next_++);
    auto made = disk_.create(path, 0600, {});
    if (!made) {
        return made.error();
    }
    Compressor compressor([&made](std::string_view bytes) { return (*made)->write(bytes); });
    trust::Sha256 sum;
    std::vector<char> buffer(std::size_t{64} * 1024);
    Status status;
    for (;;) {
        auto got = content(buffer);
        if (!got) {
            status = got.error();
            break;
        }
        if (*got == 0) {
            status = compressor.finish();
            break;
        }
        sum.update({buffer.data(), *got});
        if (status = compressor.write({buffer.data(), *got}); !status) {
            break;
        }
    }
    if (status && sum.finish() != hash) {
        status = fail(Code::refused, "a content does not have the hash that it was sent under");
    }
    if (!status) {
        (*made).reset();
        [[maybe_unused]] const Status gone = disk_.remove(path);
        return status;
    }
    staged_.push_back({hash, path});
    return {};
}

Status Blobs::keep_all() {
    std::set<std::string> folders;
    Status status;
    const bool all = staged_.size() > syncs_one_by_one;
    for (const Staged& one : staged_) {
        if (all || !status) {
            break;
        }
        auto file = disk_.stat(one.path);
        auto open = file ? disk_.append(one.path, file->size)
                         : Result<std::unique_ptr<WriteFile>>(file.error());
        status = open ? (*open)->sync() : Status(open.error());
    }
    if (all) {
        status = disk_.sync_all();
    }
    for (const Staged& one : staged_) {
        if (!status) {
            break;
        }
        const std::string path = path_of(one.hash);
        if (status = make_folders(disk_, parent_path(path)); status) {
            status = disk_.rename(one.path, path);
            folders.insert(parent_path(path));
        }
    }
    if (status && all) {
        status = disk_.sync_all();
    } else if (status) {
        for (const std::string& folder : folders) {
            if (status = disk_.sync_folder(folder); !status) {
                break;
            }
        }
    }
    if (!status) {
        drop_staged();
    }
    staged_.clear();
    return status;
}

void Blobs::drop_staged() {
    for (const Staged& one : staged_) {
        [[maybe_unused]] const Status gone = disk_.remove(one.path);
    }
    staged_.clear();
}

Result<std::unique_ptr<ReadFile>> Blobs::read(const std::string& hash) {
    std::string path = path_of(hash);
    for (const Staged& one : staged_) {
        if (one.hash == hash) {
            path = one.path;
        }
    }
    return plain(path, hash);
}

Result<std::unique_ptr<ReadFile>> Blobs::plain(const std::string& path, const std::string& hash) {
    auto file = disk_.open(path);
    if (!file) {
        return file.error();
    }
    Decompressor in(pull_from(**file));
    Scratch out(disk_, temporary_ + "/plain" + std::to_string(next_++));
    trust::Sha256 sum;
    std::vector<char> buffer(std::size_t{64} * 1024);
    for (;;) {
        auto got = in.read(buffer);
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            break;
        }
        sum.update({buffer.data(), *got});
        if (Status written = out.write({buffer.data(), *got}); !written) {
            return written.error();
        }
    }
    if (sum.finish() != hash) {
        return fail(Code::refused, "the stored content " + to_hex(hash) + " is damaged",
                    "restore it from a backup");
    }
    return out.finish();
}

} // namespace hasp::sync
