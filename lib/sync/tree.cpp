#include "sync/tree.h"

namespace hasp::sync {

bool same_content(const Entry& a, const Entry& b) {
    return a.kind == b.kind && a.size == b.size && a.hash == b.hash && a.target == b.target;
}

bool same(const Entry& a, const Entry& b) {
    return same_content(a, b) && a.mode == b.mode && a.mtime_us == b.mtime_us &&
           a.attributes == b.attributes;
}

std::string parent_path(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

bool valid_path(std::string_view path) {
    if (path.empty() || path.size() > path_bytes_max || path.find('\0') != std::string_view::npos) {
        return false;
    }
    for (;;) {
        const std::size_t slash = path.find('/');
        const std::string_view name = path.substr(0, slash);
        if (name.empty() || name == "." || name == ".." || name.size() > name_bytes_max) {
            return false;
        }
        if (slash == std::string_view::npos) {
            return true;
        }
        path.remove_prefix(slash + 1);
    }
}

} // namespace hasp::sync
