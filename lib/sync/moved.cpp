#include "moved.h"

#include "numbers.h"
#include "trust/hash.h"

namespace hasp::sync {

std::string sum_of_moved(const Tree& tree) {
    trust::Sha256 sum;
    std::string bytes;
    for (const auto& [path, entry] : tree) {
        bytes.clear();
        put_text(bytes, path);
        put_number(bytes, entry.revision);
        bytes.push_back(static_cast<char>(entry.kind));
        put_number(bytes, entry.mode);
        put_number(bytes, zigzag(entry.mtime_us));
        put_number(bytes, entry.size);
        put_text(bytes, entry.hash);
        put_text(bytes, entry.target);
        put_text(bytes, entry.attributes);
        sum.update(bytes);
    }
    return sum.finish();
}

std::string path_within(const std::string& folder, const std::string& within) {
    return within.empty() ? folder : folder + "/" + within;
}

} // namespace hasp::sync
