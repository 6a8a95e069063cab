#include "maint/release.h"

#include "base/text.h"
#include "release_hash.h"

#include <algorithm>
#include <unordered_set>

namespace hasp::maint {

namespace {

constexpr std::string_view first_line = "hasp-release 1\n";
constexpr std::size_t id_digits = 32;

const char* mode_text(FileMode mode) {
    switch (mode) {
    case FileMode::plain:
        return "644";
    case FileMode::executable:
        return "755";
    case FileMode::symlink:
        return "120000";
    }
    return "644";
}

std::string encode(const Release& release, bool with_sequence) {
    std::string out(first_line);
    if (with_sequence) {
        out += "sequence " + std::to_string(release.epoch) + " " + std::to_string(release.number) +
               "\n";
    }
    out += "app " + release.app + "\ncommit " + release.commit + "\nfiles " +
           std::to_string(release.files.size()) + "\n";
    for (const ReleaseFile& file : release.files) {
        out += std::string(mode_text(file.mode)) + " " + std::to_string(file.size) + " " +
               file.sha256 + " " + file.path + "\n";
    }
    return out;
}

Error malformed(const std::string& what) {
    return fail(Code::refused, "the release manifest is malformed: " + what);
}

// Takes lines and words off the front of a text.
class Lines {
  public:
    explicit Lines(std::string_view text) : text_(text) {}
    bool done() const { return text_.empty(); }
    // The next line without its end; nullopt when there is none that is ended.
    std::optional<std::string_view> line() { return take('\n', text_); }
    static std::optional<std::string_view> word(std::string_view& line) { return take(' ', line); }

  private:
    static std::optional<std::string_view> take(char end, std::string_view& from) {
        const std::size_t at = from.find(end);
        if (at == std::string_view::npos) {
            return std::nullopt;
        }
        const std::string_view out = from.substr(0, at);
        from.remove_prefix(at + 1);
        return out;
    }
    std::string_view text_;
};

std::optional<std::string_view> field(Lines& lines, std::string_view name) {
    std::optional<std::string_view> line = lines.line();
    if (!line || !line->starts_with(name) || line->size() <= name.size() ||
        (*line)[name.size()] != ' ') {
        return std::nullopt;
    }
    return line->substr(name.size() + 1);
}

std::optional<ReleaseFile> file_of(std::string_view line) {
    const auto mode = Lines::word(line);
    const auto size = Lines::word(line);
    const auto hash = Lines::word(line);
    const std::optional<std::uint64_t> bytes = size ? parse_u64(*size) : std::nullopt;
    if (!mode || !bytes || !hash) {
        return std::nullopt;
    }
    ReleaseFile out{std::string(line), FileMode::plain, *bytes, std::string(*hash)};
    for (const FileMode known : {FileMode::plain, FileMode::executable, FileMode::symlink}) {
        if (*mode == mode_text(known)) {
            out.mode = known;
            return out;
        }
    }
    return std::nullopt;
}

Status check_file(const ReleaseFile& file) {
    if (const std::string reason = unsafe_path_reason(file.path); !reason.empty()) {
        return fail(Code::refused, "the path `" + percent_encode(file.path) + "` " + reason,
                    "rename it and make the release again");
    }
    const std::uint64_t most =
        file.mode == FileMode::symlink ? release_symlink_bytes_max : release_file_bytes_max;
    if (file.size > most) {
        return fail(Code::refused, file.path + " has " + std::to_string(file.size) +
                                       " bytes; the limit is " + std::to_string(most));
    }
    return is_lower_hex(file.sha256, 64) ? Status() : malformed("the SHA-256 of " + file.path);
}

} // namespace

bool valid_release_id(std::string_view id) {
    return is_lower_hex(id, id_digits);
}

std::string release_id(const Release& release) {
    return sha256_hex(encode(release, false)).substr(0, id_digits);
}

std::string encode_release(const Release& release) {
    return encode(release, true);
}

Status check_release(const Release& release) {
    if (!valid_name(release.app)) {
        return malformed("the app's name");
    }
    if (!is_lower_hex(release.commit, 40)) {
        return malformed("the commit");
    }
    if (release.files.empty()) {
        return fail(Code::refused, "the release has no files");
    }
    if (release.files.size() > release_files_max) {
        return fail(Code::refused, "the release has " + std::to_string(release.files.size()) +
                                       " files; the limit is " + std::to_string(release_files_max));
    }
    std::uint64_t total = 0;
    std::unordered_set<std::string_view> folders;
    const ReleaseFile* before = nullptr;
    for (const ReleaseFile& file : release.files) {
        if (Status good = check_file(file); !good.ok()) {
            return good;
        }
        if (before != nullptr && before->path >= file.path) {
            return malformed("paths are not in order, or " + file.path + " is there twice");
        }
        before = &file;
        total += file.size;
        const std::string_view path = file.path;
        for (std::size_t at = path.find('/'); at != std::string_view::npos;
             at = path.find('/', at + 1)) {
            folders.insert(path.substr(0, at));
        }
    }
    if (total > release_total_bytes_max) {
        return fail(Code::refused, "the release has " + std::to_string(total) +
                                       " bytes; the limit is " +
                                       std::to_string(release_total_bytes_max));
    }
    for (const ReleaseFile& file : release.files) {
        if (folders.contains(file.path)) {
            return malformed(file.path + " is a file and a folder");
        }
    }
    return {};
}

Result<Release> decode_release(std::string_view text) {
    if (text.size() > release_manifest_bytes_max) {
        return malformed("it is larger than " + std::to_string(release_manifest_bytes_max) +
                         " bytes");
    }
    if (!text.starts_with(first_line)) {
        return malformed("it does not begin with `hasp-release 1`");
    }
    Lines lines(text.substr(first_line.size()));
    std::optional<std::string_view> sequence = field(lines, "sequence");
    const std::optional<std::string_view> app = field(lines, "app");
    const std::optional<std::string_view> commit = field(lines, "commit");
    const std::optional<std::string_view> count = field(lines, "files");
    const std::optional<std::string_view> epoch = sequence ? Lines::word(*sequence) : std::nullopt;
    const std::optional<std::uint64_t> epoch_number = epoch ? parse_u64(*epoch) : std::nullopt;
    const std::optional<std::uint64_t> number = sequence ? parse_u64(*sequence) : std::nullopt;
    // What is no number is too many.
    const std::uint64_t files = count ? parse_u64(*count).value_or(UINT64_MAX) : UINT64_MAX;
    if (!app || !commit || !epoch_number || !number || files > release_files_max) {
        return malformed("its head");
    }
    Release out{std::string(*app), *epoch_number, *number, std::string(*commit), {}};
    while (!lines.done()) {
        const std::optional<std::string_view> line = lines.line();
        std::optional<ReleaseFile> file = line ? file_of(*line) : std::nullopt;
        if (!file || out.files.size() == files) {
            return malformed("line " + std::to_string(out.files.size() + 6));
        }
        out.files.push_back(std::move(*file));
    }
    if (out.files.size() != files) {
        return malformed("it says " + std::to_string(files) + " files and names " +
                         std::to_string(out.files.size()));
    }
    if (Status good = check_release(out); !good.ok()) {
        return good.error();
    }
    // Numbers with leading zeros and the like: one release has one text.
    if (encode_release(out) != text) {
        return malformed("it is not in its canonical form");
    }
    return out;
}

} // namespace hasp::maint
