#include "backup_note.h"

#include "base/files.h"

namespace hasp::cmd {

namespace {
constexpr const char* name = "/backup.json";
constexpr std::size_t bytes_max = 64 * 1024;
} // namespace

Json read_backup_note(const std::string& state) {
    auto text = read_file(state + name, bytes_max);
    return text.ok() ? parse_object(*text) : Json::object();
}

Status write_backup_note(const std::string& state, const Json& fields) {
    Json all = read_backup_note(state);
    all.update(fields);
    return write_file_durably(state + name, dump(all, 2) + "\n", 0644);
}

} // namespace hasp::cmd
