#include "backup_note.h"

#include "base/files.h"

#include <algorithm>

namespace hasp::cmd {

namespace {
constexpr const char* name = "/backup.json";
constexpr std::size_t bytes_max = 64 * 1024;
} // namespace

Json read_backup_note(const std::string& state) {
    auto text = read_file(state + name, bytes_max);
    return text.ok() ? parse_object(*text) : Json::object();
}

bool all_saved(const Json& note, const std::vector<std::string>& key_prints) {
    const Json saved = member(note, "private_keys");
    return std::all_of(key_prints.begin(), key_prints.end(), [&saved](const std::string& print) {
        return std::find(saved.begin(), saved.end(), Json(print)) != saved.end();
    });
}

Status write_backup_note(const std::string& state, const Json& fields) {
    Json all = read_backup_note(state);
    all.update(fields);
    return write_file_durably(state + name, dump(all, 2) + "\n", 0644);
}

} // namespace hasp::cmd
