#include "backup/manifest.h"

#include "base/clock.h"
#include "base/text.h"
#include "json_tools.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace hasp::backup {

namespace {

constexpr std::size_t id_bytes = 25;
constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t text_bytes_max = 1024;
constexpr std::uint32_t mode_max = 07777;

Error bad(const std::string& why) {
    return fail(Code::refused, "the list of a backup is damaged: " + why,
                "take an older backup; `hasp backup check` says which are whole");
}

// A whole number of at least 0 that is one in the text, too.
std::optional<std::uint64_t> whole(const Json& json, const char* key) {
    const Json& value = member(json, key);
    return value.is_number_unsigned() ? std::optional(value.get<std::uint64_t>()) : std::nullopt;
}

std::optional<std::int64_t> number(const Json& json, const char* key) {
    const Json& value = member(json, key);
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() &&
         value.get<std::uint64_t>() >
             static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))) {
        return std::nullopt;
    }
    return value.get<std::int64_t>();
}

std::string_view view(const ChunkName& name) {
    return {name.data(), name.size()};
}

Result<Item> item_of(const Json& json) {
    Item item;
    const std::string kind = text_of(json, "kind");
    item.kind = kind == "folder"    ? ItemKind::folder
                : kind == "symlink" ? ItemKind::symlink
                                    : ItemKind::file;
    const auto path = percent_decode(text_of(json, "path"));
    const auto mode = whole(json, "mode");
    const auto uid = whole(json, "uid");
    const auto gid = whole(json, "gid");
    constexpr std::uint64_t id_max = std::numeric_limits<std::uint32_t>::max();
    if (!path || !sync::valid_path(*path) || (item.kind == ItemKind::file && kind != "file") ||
        !mode || *mode > mode_max || !uid || *uid > id_max || !gid || *gid > id_max) {
        return bad("an entry makes no sense");
    }
    item.path = *path;
    item.mode = static_cast<std::uint32_t>(*mode);
    item.uid = static_cast<std::uint32_t>(*uid);
    item.gid = static_cast<std::uint32_t>(*gid);
    if (item.kind == ItemKind::symlink) {
        const auto target = percent_decode(text_of(json, "target"));
        if (!target || target->empty() || target->size() > sync::link_bytes_max ||
            target->find('\0') != std::string::npos) {
            return bad("a symlink leads nowhere");
        }
        item.target = *target;
    }
    if (item.kind != ItemKind::file) {
        return item;
    }
    const auto size = whole(json, "size");
    const auto chunk = whole(json, "chunk");
    const auto mtime = number(json, "mtime_ns");
    const auto ctime = number(json, "ctime_ns");
    const auto inode = whole(json, "inode");
    const std::string names = text_of(json, "chunks");
    if (!size || !chunk || *chunk == 0 || *chunk > chunk_bytes_max || !mtime || !ctime || !inode ||
        names.size() % (2 * trust::sha256_bytes) != 0 ||
        names.size() / (2 * trust::sha256_bytes) !=
            *size / *chunk + (*size % *chunk == 0 ? 0 : 1)) {
        return bad("a file is not as long as its parts");
    }
    item.size = *size;
    item.chunk_bytes = static_cast<std::uint32_t>(*chunk);
    item.seen = {*mtime, *ctime, *inode};
    for (std::size_t at = 0; at < names.size(); at += 2 * trust::sha256_bytes) {
        const std::string_view digits = std::string_view(names).substr(at, 2 * trust::sha256_bytes);
        const auto raw = from_hex(digits);
        if (!is_lower_hex(digits, digits.size()) || !raw) {
            return bad("a part has no name");
        }
        ChunkName name{};
        std::copy(raw->begin(), raw->end(), name.begin());
        item.chunks.push_back(name);
    }
    return item;
}

// Slashes stay, for whoever reads it.
std::string path_text(const std::string& path) {
    std::string out;
    for (const std::string_view part : split(path, '/')) {
        out += percent_encode(part) + "/";
    }
    out.pop_back();
    return out;
}

} // namespace

bool valid_backup_id(std::string_view id) {
    const auto digits = [&](std::size_t from, std::size_t count) {
        const std::string_view part = id.substr(from, count);
        return std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    };
    return id.size() == id_bytes && digits(0, 8) && id[8] == 'T' && digits(9, 6) && id[15] == 'Z' &&
           id[16] == '-' && is_lower_hex(id.substr(17), 8);
}

std::string make_backup_id(std::int64_t at_us, std::string_view four_random_bytes) {
    std::string out;
    for (const char c : rfc3339(at_us).substr(0, 19)) {
        if (c != '-' && c != ':') {
            out += c;
        }
    }
    return out + "Z-" + to_hex(four_random_bytes);
}

Status ManifestWriter::line(std::string text, bool last) {
    text += '\n';
    if (text.size() > manifest_line_bytes_max) {
        return fail(Code::refused, "a file is too large for a backup: its parts do not fit into " +
                                       std::to_string(manifest_line_bytes_max >> 20U) + " MiB");
    }
    if (!last) {
        hash_.update(text);
    }
    return out_(text);
}

Status ManifestWriter::head(const Head& head) {
    return line(dump(Json{{"hasp_backup", 1},
                          {"id", head.id},
                          {"at_us", head.at_us},
                          {"tier", head.tier},
                          {"version", head.version},
                          {"keys", head.keys}}),
                false);
}

Status ManifestWriter::add(const Item& item) {
    if (items_ >= items_max_) {
        return fail(Code::refused,
                    "there are more than " + std::to_string(items_max_) + " files and folders",
                    "move some of them out of the state folder, or into fewer files");
    }
    ++items_;
    Json json{{"kind", item.kind == ItemKind::file     ? "file"
                       : item.kind == ItemKind::folder ? "folder"
                                                       : "symlink"},
              {"path", path_text(item.path)},
              {"mode", item.mode},
              {"uid", item.uid},
              {"gid", item.gid}};
    if (item.kind == ItemKind::symlink) {
        json["target"] = path_text(item.target);
    }
    if (item.kind == ItemKind::file) {
        std::string names;
        names.reserve(item.chunks.size() * 2 * trust::sha256_bytes);
        for (const ChunkName& name : item.chunks) {
            names += to_hex(view(name));
        }
        json["size"] = item.size;
        json["chunk"] = item.chunk_bytes;
        json["chunks"] = std::move(names);
        json["mtime_ns"] = item.seen.mtime_ns;
        json["ctime_ns"] = item.seen.ctime_ns;
        json["inode"] = item.seen.inode;
    }
    return line(dump(json), false);
}

Status ManifestWriter::end() {
    return line(dump(Json{{"end", items_}, {"sha256", to_hex(hash_.finish())}}), true);
}

Result<std::string> ManifestReader::line() {
    for (;;) {
        const std::size_t end = buffer_.find('\n', at_);
        if (end != std::string::npos) {
            std::string out = buffer_.substr(at_, end + 1 - at_);
            at_ = end + 1;
            return out;
        }
        buffer_.erase(0, at_);
        at_ = 0;
        if (buffer_.size() >= manifest_line_bytes_max) {
            return bad("a line is too long");
        }
        const std::size_t have = buffer_.size();
        buffer_.resize(have + read_bytes);
        auto got = in_(std::span<char>(buffer_.data() + have, read_bytes));
        buffer_.resize(have + (got ? *got : 0));
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            return bad("it is cut short");
        }
    }
}

Result<Head> ManifestReader::head() {
    auto text = line();
    if (!text) {
        return text.error();
    }
    hash_.update(*text);
    const Json json = parse_object(*text);
    const auto version = whole(json, "hasp_backup");
    if (version && *version > 1) {
        return fail(Code::refused, "the backup was made by a newer hasp",
                    "use a hasp that is as new as the one that made it");
    }
    const auto at = number(json, "at_us");
    Head head{text_of(json, "id"), at.value_or(0), text_of(json, "tier"), text_of(json, "version"),
              text_of(json, "keys")};
    if (!version || *version != 1 || !at || !valid_backup_id(head.id) ||
        head.tier.size() > text_bytes_max || head.version.size() > text_bytes_max ||
        !is_lower_hex(head.keys, 2 * trust::sha256_bytes)) {
        return bad("its head makes no sense");
    }
    return head;
}

Result<std::optional<Item>> ManifestReader::next() {
    auto text = line();
    if (!text) {
        return text.error();
    }
    const Json json = parse_object(*text);
    if (!json.contains("end")) {
        hash_.update(*text);
        if (++items_ > items_max) {
            return bad("it has too many entries");
        }
        auto item = item_of(json);
        return item ? Result<std::optional<Item>>(std::optional<Item>(*std::move(item)))
                    : item.error();
    }
    if (whole(json, "end") != items_ || text_of(json, "sha256") != to_hex(hash_.finish())) {
        return bad("it is not as it was written");
    }
    char more = 0;
    auto behind =
        at_ < buffer_.size() ? Result<std::size_t>(std::size_t{1}) : in_(std::span<char>(&more, 1));
    if (!behind) {
        return behind.error();
    }
    return *behind != 0 ? Result<std::optional<Item>>(bad("there is something behind its end"))
                        : Result<std::optional<Item>>(std::optional<Item>());
}

} // namespace hasp::backup
