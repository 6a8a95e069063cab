#include "repository_at.h"

namespace hasp::cmd {

Result<RepositoryAt> repository_at(const std::string& folder, backup::Repository::Open how,
                                   backup::Share share) {
    RepositoryAt out;
    auto disk = sync::open_disk(folder);
    if (!disk.ok()) {
        return disk.error();
    }
    // Nothing is made in a folder that is not one.
    if (how == backup::Repository::Open::existing) {
        if (auto there = backup::Repository::open(**disk, how); !there.ok()) {
            return fail(there.error().code, folder + ": " + there.error().message,
                        there.error().hint);
        }
    }
    auto lock = backup::lock_repository(folder, share);
    if (!lock.ok()) {
        return lock.error();
    }
    out.lock = *std::move(lock);
    out.disk = *std::move(disk);
    auto repository = backup::Repository::open(*out.disk, how);
    if (!repository.ok()) {
        return fail(repository.error().code, folder + ": " + repository.error().message,
                    repository.error().hint);
    }
    out.repository = *std::move(repository);
    return out;
}

} // namespace hasp::cmd
