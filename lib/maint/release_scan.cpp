#include "release_scan.h"

#include "base/fd.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <unistd.h>
#include <zlib.h>

namespace hasp::maint {

namespace {

constexpr unsigned type_blob = 3;
constexpr unsigned type_offset_delta = 6;
constexpr unsigned type_ref_delta = 7;
constexpr std::size_t delta_head_bytes_max = 20; // two sizes of at most ten bytes

Error hostile(const std::string& why) {
    return fail(Code::refused, "the pack is damaged or hostile: " + why);
}

// The size at `at` in a delta's head.
std::optional<std::uint64_t> size_at(const std::string& bytes, std::size_t& at) {
    std::uint64_t out = 0;
    for (unsigned shift = 0; at < bytes.size() && shift < 63; shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes[at++]);
        out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return out;
        }
    }
    return std::nullopt;
}

class Scanner {
  public:
    Scanner(int fd, const PackLimits& limits) : fd_(fd), limits_(limits) {}

    Status run() {
        std::string head;
        while (head.size() < 12) {
            const int byte = next();
            if (byte < 0) {
                return hostile("it is too short");
            }
            head += static_cast<char>(byte);
        }
        if (head.substr(0, 8) != std::string("PACK\0\0\0\2", 8)) {
            return hostile("it is no pack of version 2");
        }
        std::uint64_t objects = 0;
        for (std::size_t i = 8; i < 12; ++i) {
            objects = objects << 8 | static_cast<unsigned char>(head[i]);
        }
        if (objects > limits_.objects_max) {
            return hostile("it has " + std::to_string(objects) +
                           " objects; the release needs at most " +
                           std::to_string(limits_.objects_max));
        }
        for (; objects > 0; --objects) {
            if (Status good = entry(); !good.ok()) {
                return good;
            }
        }
        return {};
    }

  private:
    bool refill() {
        if (at_ < have_) {
            return true;
        }
        ssize_t n = 0;
        do {
            n = ::read(fd_, buffer_, sizeof buffer_);
        } while (n < 0 && errno == EINTR);
        at_ = 0;
        have_ = n > 0 ? static_cast<std::size_t>(n) : 0;
        return have_ > 0;
    }
    int next() { return refill() ? buffer_[at_++] : -1; }

    Status entry() {
        int byte = next();
        const unsigned type = static_cast<unsigned>(byte) >> 4 & 7;
        std::uint64_t size = static_cast<std::uint64_t>(byte & 0xf);
        for (unsigned shift = 4; byte >= 0 && (byte & 0x80) != 0; shift += 7) {
            byte = next();
            if (shift > 56) {
                return hostile("the size of an object is malformed");
            }
            size |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        }
        const bool delta = type == type_offset_delta || type == type_ref_delta;
        if (byte < 0 || type == 0 || (type > type_blob && !delta)) {
            return hostile("it ends early or has an object of a kind that no release has");
        }
        if (size > limits_.object_bytes_max) {
            return hostile("an object says it has " + std::to_string(size) +
                           " bytes; the release has none above " +
                           std::to_string(limits_.object_bytes_max));
        }
        if (type == type_offset_delta) {
            do {
                byte = next();
            } while (byte >= 0 && (byte & 0x80) != 0);
        }
        for (int i = 0; type == type_ref_delta && i < 20; ++i) {
            byte = next();
        }
        std::string first;
        if (Status good = byte < 0 ? Status(hostile("it ends early")) : inflate_entry(size, first);
            !good.ok() || !delta) {
            return good;
        }
        std::size_t at = 0;
        const std::optional<std::uint64_t> base = size_at(first, at);
        const std::optional<std::uint64_t> result = size_at(first, at);
        // How large the base is does not matter: it may be of an older release.
        // alone.
        if (!base || !result || *result > limits_.object_bytes_max) {
            return hostile("a delta makes an object larger than any of the release");
        }
        return {};
    }

    Status inflate_entry(std::uint64_t size, std::string& first) {
        z_stream stream{};
        if (inflateInit(&stream) != Z_OK) {
            return fail(Code::failed, "no memory to read the pack");
        }
        std::uint64_t total = 0;
        int code = Z_OK;
        while (code == Z_OK && total <= size && refill()) {
            stream.next_in = buffer_ + at_;
            stream.avail_in = static_cast<uInt>(have_ - at_);
            stream.next_out = out_;
            stream.avail_out = sizeof out_;
            code = inflate(&stream, Z_NO_FLUSH);
            at_ = have_ - stream.avail_in;
            const std::size_t made = sizeof out_ - stream.avail_out;
            first.append(reinterpret_cast<const char*>(out_),
                         std::min(made, delta_head_bytes_max -
                                            std::min(delta_head_bytes_max, first.size())));
            total += made;
            // No progress is possible only when there was nothing to read.
            code = code == Z_BUF_ERROR ? Z_OK : code;
        }
        inflateEnd(&stream);
        return code == Z_STREAM_END && total == size
                   ? Status()
                   : Status(hostile("an object is not as long as it says"));
    }

    int fd_;
    const PackLimits& limits_;
    unsigned char buffer_[65536];
    unsigned char out_[65536];
    std::size_t at_ = 0;
    std::size_t have_ = 0;
};

} // namespace

Status scan_pack(const std::string& path, const PackLimits& limits) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot open the pack " + path);
    }
    return Scanner(fd.get(), limits).run();
}

} // namespace hasp::maint
