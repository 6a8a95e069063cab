#include "maint/release_store.h"

#include "base/files.h"
#include "maint/release_git.h"
#include "release_hash.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::maint {

Status PackSpool::open() {
    if (expected_size_ == 0 || expected_size_ > pack_bytes_max) {
        return fail(Code::refused, "a pack of " + std::to_string(expected_size_) +
                                       " bytes is not accepted; the limit is " +
                                       std::to_string(pack_bytes_max));
    }
    const Fd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    struct stat st {};
    if (!fd || ::fstat(fd.get(), &st) != 0) {
        return errno_error(errno, "cannot open the spool file " + path_);
    }
    have_bytes_ = static_cast<std::uint64_t>(st.st_size);
    if (have_bytes_ > expected_size_) {
        have_bytes_ = 0;
        if (::ftruncate(fd.get(), 0) != 0) {
            return errno_error(errno, "cannot empty the spool file " + path_);
        }
    }
    return {};
}

Status PackSpool::append(std::uint64_t offset, std::string_view bytes) {
    if (offset != have_bytes_) {
        return fail(Code::conflict, "the pack goes on at byte " + std::to_string(have_bytes_) +
                                        ", not at " + std::to_string(offset));
    }
    if (bytes.size() > expected_size_ - have_bytes_) {
        return fail(Code::refused, "the pack is longer than the announced " +
                                       std::to_string(expected_size_) + " bytes");
    }
    const Fd fd(::open(path_.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
    // At an offset, not appended: what an earlier write left behind after an error is written over.
    if (!fd || ::lseek(fd.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
        return errno_error(errno, "cannot open the spool file " + path_);
    }
    if (Status written = write_all(fd.get(), bytes); !written.ok()) {
        return fail(written.error().code,
                    "cannot write the spool file " + path_ + ": " + written.error().message);
    }
    have_bytes_ += bytes.size();
    return {};
}

Status PackSpool::finish() {
    if (!complete()) {
        return fail(Code::partial, "the pack has " + std::to_string(have_bytes_) + " of " +
                                       std::to_string(expected_size_) + " bytes");
    }
    const Fd fd(::open(path_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) {
        return errno_error(errno, "cannot sync the spool file " + path_);
    }
    const Result<HashedFile> hashed =
        hash_file(fd.get(), expected_size_, "the spool file " + path_);
    if (!hashed.ok()) {
        return hashed.error();
    }
    if (hashed->bytes == expected_size_ && hashed->sha256 == expected_sha256_) {
        return {};
    }
    have_bytes_ = 0;
    if (::ftruncate(fd.get(), 0) != 0) {
        return errno_error(errno, "cannot empty the spool file " + path_);
    }
    return fail(Code::refused, "the pack does not have the announced SHA-256",
                "it is fetched anew");
}

Status PackSpool::remove() {
    have_bytes_ = 0;
    if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
        return errno_error(errno, "cannot remove the spool file " + path_);
    }
    return {};
}

} // namespace hasp::maint
