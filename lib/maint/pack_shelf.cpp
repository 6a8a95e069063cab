#include "pack_shelf.h"

#include "base/fd.h"
#include "base/files.h"
#include "base/text.h"
#include "trust/hash.h"

#include <algorithm>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

namespace hasp::maint {

PackShelf::PackShelf(KeeperPorts& ports, const Clock& clock, const ReleaseStore& releases,
                     std::string folder)
    : ports_(ports), clock_(clock), releases_(releases), folder_(std::move(folder)) {
    [[maybe_unused]] const Status emptied = remove_tree(folder_);
}

void PackShelf::build(const Release& release, std::vector<std::string> have, Done done) {
    std::erase_if(have, [](const std::string& commit) {
        return commit.size() != 40 || !from_hex(commit).has_value();
    });
    if (have.size() > pack_have_max) {
        have.resize(pack_have_max);
    }
    std::sort(have.begin(), have.end());
    const std::string id = release_id(release);
    std::string named = release.app + "\n" + id + "\n";
    for (const std::string& commit : have) {
        named += commit + "\n";
    }
    const std::string key = to_hex(trust::sha256(named)).substr(0, 32);
    Entry& entry = entries_[key];
    entry.used_us = clock_.boot_us();
    if (entry.made) {
        done(Pack{key, entry.info});
        return;
    }
    entry.app = release.app;
    entry.release_id = id;
    entry.waiting.push_back(std::move(done));
    if (entry.waiting.size() > 1) {
        return;
    }
    if (Status folder = make_folders(folder_); !folder.ok()) {
        const std::vector<Done> waiting = std::move(entry.waiting);
        entries_.erase(key);
        waiting.front()(folder.error());
        return;
    }
    auto info = std::make_shared<Result<PackInfo>>(fail(Code::failed, "no pack"));
    ports_.background(
        [repo = releases_.repo_path(release.app), commit = release.commit, have, out = path(key),
         info] { *info = write_pack(repo, commit, have, out); },
        [this, key, info] {
            Entry& made = entries_[key];
            const std::vector<Done> waiting = std::move(made.waiting);
            made.waiting.clear();
            if (info->ok()) {
                made.made = true;
                made.info = **info;
            } else {
                entries_.erase(key);
            }
            for (const Done& one : waiting) {
                one(info->ok() ? Result<Pack>(Pack{key, **info}) : Result<Pack>(info->error()));
            }
        });
}

Result<std::string> PackShelf::read(const std::string& key, const std::string& app,
                                    const std::string& release_id, std::int64_t offset,
                                    std::int64_t bytes) {
    const auto at = entries_.find(key);
    if (at == entries_.end() || !at->second.made || at->second.app != app ||
        at->second.release_id != release_id) {
        return fail(Code::try_later, "the pack is not there any more: ask for the release again");
    }
    at->second.used_us = clock_.boot_us();
    const Fd fd(::open(path(key).c_str(), O_RDONLY | O_CLOEXEC));
    std::string chunk(static_cast<std::size_t>(std::clamp<std::int64_t>(
                          bytes, 1, static_cast<std::int64_t>(pack_chunk_bytes))),
                      '\0');
    const ssize_t n = fd ? ::pread(fd.get(), chunk.data(), chunk.size(), offset) : -1;
    if (n < 0) {
        return fail(Code::try_later, "the pack cannot be read: ask for the release again");
    }
    chunk.resize(static_cast<std::size_t>(n));
    return chunk;
}

void PackShelf::tick() {
    std::erase_if(entries_, [&](const auto& entry) {
        const bool old =
            entry.second.made && clock_.boot_us() - entry.second.used_us > pack_kept_us;
        if (old) {
            ::unlink(path(entry.first).c_str());
        }
        return old;
    });
}

} // namespace hasp::maint
