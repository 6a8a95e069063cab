#include "backup/key_file.h"

#include "base/files.h"
#include "base/text.h"
#include "json_tools.h"
#include "sync/disk.h"
#include "trust/aead.h"
#include "trust/hash.h"

#include <algorithm>
#include <argon2.h>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace hasp::backup {

namespace {

constexpr std::string_view first_line = "hasp keys 1\n";
constexpr std::size_t salt_bytes = 16;
constexpr std::uint32_t memory_kib = 64 * 1024;
constexpr std::uint32_t passes = 3;
constexpr std::size_t file_bytes_max = std::size_t{1} << 20;
constexpr std::string_view keys_folder = "keys/";
constexpr const char* contents_key = "contents.key";
// Of a browsers' certificate that is being asked for: another one does as well.
constexpr const char* asked_for_key = "keys/web-next-key.pem";

Error bad() {
    return fail(Code::refused, "the keys cannot be opened: another passphrase, or a damaged file");
}

// A name directly in keys/, or contents.key.
bool is_key_path(const std::string& path) {
    if (path == contents_key) {
        return true;
    }
    const std::string name =
        path.starts_with(keys_folder) ? path.substr(keys_folder.size()) : std::string();
    return !name.empty() && name.find('/') == std::string::npos && sync::valid_path(name);
}

Result<std::string> key_of(std::string_view passphrase, std::string_view salt) {
    std::string key(trust::aead_key_bytes, '\0');
    const int code = argon2id_hash_raw(passes, memory_kib, 1, passphrase.data(), passphrase.size(),
                                       salt.data(), salt.size(), key.data(), key.size());
    return code == ARGON2_OK
               ? Result<std::string>(std::move(key))
               : fail(Code::failed, std::string("Argon2id: ") + argon2_error_message(code));
}

// To whom the databases belong, who runs the tier.
Status give_to_owner(const Keys& keys, const std::string& state, const std::string& staged) {
    struct stat owner {};
    if (::geteuid() != 0 || ::stat((state + "/keeper.db").c_str(), &owner) != 0) {
        return {};
    }
    std::vector<std::string> paths{state, staged};
    for (const auto& [path, bytes] : keys) {
        paths.push_back(path.starts_with(keys_folder)
                            ? staged + "/" + path.substr(keys_folder.size())
                            : state + "/" + path);
    }
    for (const std::string& path : paths) {
        if (::lchown(path.c_str(), owner.st_uid, owner.st_gid) != 0) {
            return errno_error(errno, "cannot give away " + path);
        }
    }
    return {};
}

} // namespace

Result<Keys> read_keys(const std::string& state) {
    Keys out;
    std::error_code ec;
    for (const auto& entry : std::filesystem::directory_iterator(state + "/keys", ec)) {
        const std::string name = entry.path().filename().string();
        if (!entry.is_regular_file(ec) || name.starts_with(unfinished_prefix)) {
            continue;
        }
        auto text = read_file(entry.path().string(), file_bytes_max);
        if (!text) {
            return text.error();
        }
        out[std::string(keys_folder) + name] = *std::move(text);
    }
    if (ec && ec != std::errc::no_such_file_or_directory) {
        return errno_error(ec.value(), "cannot read the keys in " + state + "/keys");
    }
    if (!out.contains("keys/tier.json")) {
        return fail(Code::not_found, state + " holds no tier",
                    "say where it is with --state or HASP_STATE");
    }
    auto contents = read_file(state + "/" + contents_key, file_bytes_max);
    if (contents) {
        out[contents_key] = *std::move(contents);
    } else if (contents.error().code != Code::not_found) {
        return contents.error();
    }
    return out;
}

std::string fingerprint(const Keys& keys) {
    std::string all;
    for (const char* path : {"keys/envelope.pem", "keys/tls.pem", contents_key}) {
        const auto at = keys.find(path);
        all += trust::sha256(at == keys.end() ? std::string_view() : std::string_view(at->second));
    }
    return to_hex(trust::sha256("hasp keys fingerprint 1" + all));
}

std::vector<std::string> key_prints(const Keys& keys) {
    std::vector<std::string> out;
    for (const auto& [path, bytes] : keys) {
        const bool is_private = path.ends_with(".pem") && bytes.find("PRIVATE KEY") != bytes.npos;
        if (path == contents_key || (is_private && path != asked_for_key)) {
            out.push_back(to_hex(trust::sha256("hasp key print 1" + trust::sha256(bytes))));
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

bool fit(const Keys& keys, std::string_view print) {
    Keys before = keys; // the key of contents is made with the first content
    before.erase(contents_key);
    return fingerprint(keys) == print || fingerprint(before) == print;
}

Result<std::string> seal_keys(const Keys& keys, std::string_view passphrase, Random& random) {
    if (passphrase.size() < passphrase_bytes_min) {
        return fail(Code::usage,
                    "the passphrase has fewer than " + std::to_string(passphrase_bytes_min) +
                        " bytes",
                    "take a longer one: whoever has the file can try as often as he likes");
    }
    Json files = Json::object();
    for (const auto& [path, bytes] : keys) {
        files[path] = to_base64(bytes);
    }
    std::string plain = dump(files);
    const std::string salt = random.bytes(salt_bytes);
    const std::string nonce = random.bytes(trust::aead_nonce_bytes);
    auto key = key_of(passphrase, salt);
    if (!key) {
        return key.error();
    }
    std::string sealed = salt + nonce;
    trust::Aead(*key).seal(nonce, first_line, plain, sealed);
    trust::wipe(*key);
    trust::wipe(plain);
    std::string out(first_line);
    const std::string text = to_base64(sealed);
    for (std::size_t at = 0; at < text.size(); at += 76) {
        out += text.substr(at, 76) + "\n";
    }
    return out.size() <= key_file_bytes_max
               ? Result<std::string>(std::move(out))
               : fail(Code::refused, "the folder of keys holds more than keys");
}

Result<Keys> open_keys(std::string_view text, std::string_view passphrase) {
    if (!text.starts_with(first_line) || text.size() > key_file_bytes_max) {
        return fail(Code::refused, "this is no file with keys of a tier",
                    "hasp backup keys FILE makes one");
    }
    std::string joined(text.substr(first_line.size()));
    std::erase(joined, '\n');
    auto sealed = from_base64(joined);
    constexpr std::size_t before = salt_bytes + trust::aead_nonce_bytes;
    if (!sealed || sealed->size() < before + trust::aead_tag_bytes) {
        return bad();
    }
    auto key = key_of(passphrase, std::string_view(*sealed).substr(0, salt_bytes));
    if (!key) {
        return key.error();
    }
    std::string plain;
    const bool good = trust::Aead(*key).open(
        std::string_view(*sealed).substr(salt_bytes, trust::aead_nonce_bytes), first_line,
        std::string_view(*sealed).substr(before), plain);
    trust::wipe(*key);
    if (!good) {
        return bad();
    }
    Keys out;
    const Json files = parse_object(plain);
    trust::wipe(plain);
    for (const auto& [path, value] : files.items()) {
        auto bytes = value.is_string() ? from_base64(value.get<std::string>()) : std::nullopt;
        if (!bytes || !is_key_path(path)) {
            return bad();
        }
        out[path] = *std::move(bytes);
    }
    return out;
}

Status put_keys(const Keys& keys, const std::string& state) {
    const std::string staged = state + "/keys.restored";
    if (Status gone = remove_tree(staged); !gone) {
        return gone;
    }
    if (Status made = make_folders(staged, 0700); !made) {
        return made;
    }
    for (const auto& [path, bytes] : keys) {
        const std::string at = path.starts_with(keys_folder)
                                   ? staged + "/" + path.substr(keys_folder.size())
                                   : state + "/" + path;
        if (Status written = write_file_durably(at, bytes, 0600); !written) {
            return written;
        }
    }
    if (Status given = give_to_owner(keys, state, staged); !given) {
        return given;
    }
    // The tier is one from here on.
    if (std::rename(staged.c_str(), (state + "/keys").c_str()) != 0) {
        return errno_error(errno, "cannot put the keys into " + state);
    }
    auto disk = sync::open_disk(state);
    return disk ? (*disk)->sync_folder("") : Status(disk.error());
}

} // namespace hasp::backup
