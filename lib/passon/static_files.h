// Files of static apps, opened beneath their release and nowhere else.
#pragma once

#include "base/fd.h"
#include "net/body.h"
#include "net/content_coding.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hasp::passon {

struct StaticFile {
    Fd fd;
    std::uint64_t offset = 0;          // next byte to send
    std::uint64_t end = 0;             // of the part that is sent
    std::unique_ptr<net::Coder> coder; // null: as it is; else framed by `framing`
    net::BodyEncoder framing;
};

// Descriptors of the roots in use. Emptied with each new snapshot, so that a replaced release is
// let go.
class StaticRoots {
  public:
    static constexpr std::size_t roots_max = 512;
    static constexpr std::size_t files_max = 16'384; // of which is known what stands beside them
    // -1: the folder is not there.
    int root(std::string_view path);
    // In which codings the file stands beside itself (FILE.br, FILE.zst, FILE.gz). A release does
    // not change, so it is looked at once.
    net::CodingSet coded_beside(std::string_view path, const std::string& relative);
    void clear() {
        roots_.clear();
        coded_.clear();
    }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };
    std::unordered_map<std::string, Fd, Hash, std::equal_to<>> roots_;
    std::unordered_map<std::string, net::CodingSet, Hash, std::equal_to<>> coded_;
    std::string name_;
};

// openat2(2) with RESOLVE_BENEATH: symlinks inside the tree are followed, none leads out.
// `relative` without a leading slash.
Fd open_beneath(int root, const std::string& relative);

// By the name's extension; "application/octet-stream" for others.
std::string_view content_type_of(std::string_view path);

// The path beneath the root for a request path ("/a%20b/c" gives "a b/c", "/" gives ""). False: no
// file can have it (a name too long, or hidden: beginning with "." unless it is .well-known).
bool static_path(std::string& out, std::string_view request_path);

} // namespace hasp::passon
