// Packs. libgit2's builder makes no deltas against objects that the receiver holds already, so
// those are added here: what it wrote for new objects is kept, and changed ones follow as REF_DELTA
// entries (gitformat-pack). The receiver's indexer resolves them against its own objects.
#include "maint/release_git.h"

#include "base/files.h"
#include "release_delta.h"
#include "release_hash.h"
#include "release_repo.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

namespace hasp::maint {

namespace {

constexpr std::size_t delta_bytes_max =
    std::size_t{64} << 20; // larger objects travel whole: a delta needs both in memory
constexpr std::size_t pack_head_bytes = 12;
constexpr std::size_t pack_trailer_bytes = 20;
constexpr unsigned pack_ref_delta = 7;

struct OidLess {
    bool operator()(const git_oid& a, const git_oid& b) const { return git_oid_cmp(&a, &b) < 0; }
};

struct Item {
    git_oid id{};
    git_object_t type = GIT_OBJECT_BLOB;
    std::string path;
};

// Every tree and blob of a commit with its path, folders before what is in them; each object once.
Status items_of(git_odb* odb, const git_oid& tree, const std::string& path,
                std::set<git_oid, OidLess>& seen, std::vector<Item>& out) {
    if (!seen.insert(tree).second) {
        return {};
    }
    out.push_back({tree, GIT_OBJECT_TREE, path});
    Result<RawObject> raw = read_object(odb, tree, GIT_OBJECT_TREE);
    if (!raw.ok()) {
        return raw.error();
    }
    Result<std::vector<TreeEntry>> entries = parse_tree(raw->bytes);
    if (!entries.ok()) {
        return entries.error();
    }
    for (const TreeEntry& entry : *entries) {
        const std::string inner =
            path.empty() ? std::string(entry.name) : path + "/" + std::string(entry.name);
        if (entry.mode == GIT_FILEMODE_TREE) {
            if (Status good = items_of(odb, entry.id, inner, seen, out); !good.ok()) {
                return good;
            }
        } else if (entry.mode == GIT_FILEMODE_COMMIT) {
            return fail(Code::refused,
                        "`" + inner + "` is a submodule, so it cannot be part of a release");
        } else if (seen.insert(entry.id).second) {
            out.push_back({entry.id, GIT_OBJECT_BLOB, inner});
        }
    }
    return {};
}

Result<std::vector<Item>> items_of_commit(git_odb* odb, const git_oid& commit,
                                          std::set<git_oid, OidLess>& seen) {
    Result<RawObject> raw = read_object(odb, commit, GIT_OBJECT_COMMIT);
    if (!raw.ok()) {
        return raw.error();
    }
    Result<git_oid> tree = parse_commit(raw->bytes);
    std::vector<Item> out;
    if (!tree.ok()) {
        return tree.error();
    }
    if (Status good = items_of(odb, *tree, "", seen, out); !good.ok()) {
        return good.error();
    }
    return out;
}

std::string deflated(std::string_view bytes) {
    uLongf size = compressBound(bytes.size());
    std::string out(size, '\0');
    if (compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                  reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(),
                  Z_BEST_COMPRESSION) != Z_OK) {
        return {};
    }
    out.resize(size);
    return out;
}

// A whole pack entry, or nothing when the object had better travel whole.
std::string delta_entry(git_odb* odb, const Item& item, const git_oid& base) {
    std::size_t base_size = 0;
    std::size_t size = 0;
    git_object_t type = GIT_OBJECT_INVALID;
    if (git_odb_read_header(&base_size, &type, odb, &base) != 0 || type != item.type ||
        git_odb_read_header(&size, &type, odb, &item.id) != 0 || base_size > delta_bytes_max ||
        size > delta_bytes_max) {
        return {};
    }
    Result<RawObject> from = read_object(odb, base, item.type);
    Result<RawObject> to = read_object(odb, item.id, item.type);
    if (!from.ok() || !to.ok()) {
        return {};
    }
    const std::string delta = make_delta(from->bytes, to->bytes);
    if (delta.size() > to->bytes.size() / 2) {
        return {};
    }
    std::string out;
    std::size_t left = delta.size();
    unsigned byte = pack_ref_delta << 4 | static_cast<unsigned>(left & 0xf);
    for (left >>= 4; left > 0; left >>= 7) {
        out += static_cast<char>(byte | 0x80);
        byte = static_cast<unsigned>(left & 0x7f);
    }
    out += static_cast<char>(byte);
    out.append(reinterpret_cast<const char*>(base.id), GIT_OID_RAWSZ);
    return out + deflated(delta);
}

// A pack file that grows. Errors are kept until finish(), since libgit2's callback can only stop.
class PackFile {
  public:
    explicit PackFile(const std::string& path)
        : path_(path), fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
        if (!fd_) {
            failed_ = errno_error(errno, "cannot create " + path);
        }
    }

    const Status& status() const { return failed_; }

    void add(std::string_view bytes) {
        if (failed_.ok()) {
            failed_ = write_all(fd_.get(), bytes);
        }
    }

    static int take(void* data, size_t size, void* self) {
        auto* file = static_cast<PackFile*>(self);
        file->add({static_cast<const char*>(data), size});
        return file->failed_.ok() ? 0 : -1;
    }

    // Behind libgit2's pack, whose trailer goes: more entries.
    void drop_trailer() {
        if (failed_.ok() &&
            (::ftruncate(fd_.get(), ::lseek(fd_.get(), 0, SEEK_END) -
                                        static_cast<off_t>(pack_trailer_bytes)) != 0 ||
             ::lseek(fd_.get(), 0, SEEK_END) < 0)) {
            failed_ = errno_error(errno, "cannot write " + path_);
        }
    }

    Result<PackInfo> finish(std::uint32_t objects) {
        const char count[4] = {
            static_cast<char>(objects >> 24), static_cast<char>(objects >> 16 & 0xff),
            static_cast<char>(objects >> 8 & 0xff), static_cast<char>(objects & 0xff)};
        if (failed_.ok() &&
            ::pwrite(fd_.get(), count, sizeof count, pack_head_bytes - sizeof count) !=
                static_cast<ssize_t>(sizeof count)) {
            failed_ = errno_error(errno, "cannot write " + path_);
        }
        if (failed_.ok()) {
            add(sha1_bytes_of_file(fd_.get()));
        }
        if (failed_.ok() && ::fsync(fd_.get()) != 0) {
            failed_ = errno_error(errno, "cannot sync " + path_);
        }
        PackInfo info{0, {}, objects};
        if (failed_.ok() && ::lseek(fd_.get(), 0, SEEK_SET) != 0) {
            failed_ = errno_error(errno, "cannot read " + path_);
        }
        if (failed_.ok()) {
            Result<HashedFile> hashed = hash_file(fd_.get(), pack_bytes_max, path_);
            if (!hashed.ok()) {
                failed_ = hashed.error();
            } else if (hashed->bytes > pack_bytes_max) {
                failed_ = fail(Code::refused, path_ + " is larger than a pack may be");
            } else {
                info.size = hashed->bytes;
                info.sha256 = std::move(hashed->sha256);
            }
        }
        if (!failed_.ok()) {
            ::unlink(path_.c_str());
            return failed_.error();
        }
        return info;
    }

  private:
    std::string path_;
    Fd fd_;
    Status failed_;
};

} // namespace

Result<PackInfo> write_pack(const std::string& repo, const std::string& commit,
                            const std::vector<std::string>& have, const std::string& out) {
    const GitLibrary git;
    Result<git_oid> id = oid_of(commit);
    if (!id.ok()) {
        return id.error();
    }
    Result<GitRepo> opened = open_repo(repo, false);
    if (!opened.ok()) {
        return opened.error();
    }
    Result<GitOdb> odb = open_odb(opened->get());
    if (!odb.ok()) {
        return odb.error();
    }
    std::set<git_oid, OidLess> seen; // first what the receiver has, then what was listed
    std::map<std::pair<git_object_t, std::string>, git_oid> bases;
    for (const std::string& held : have) {
        const Result<git_oid> held_id = oid_of(held);
        if (!held_id.ok() || git_odb_exists(odb->get(), &*held_id) == 0) {
            continue;
        }
        std::set<git_oid, OidLess> of_this;
        Result<std::vector<Item>> items = items_of_commit(odb->get(), *held_id, of_this);
        if (!items.ok()) {
            return items.error();
        }
        for (const Item& item : *items) {
            bases.insert_or_assign({item.type, item.path}, item.id);
        }
        seen.insert(of_this.begin(), of_this.end());
    }
    Result<std::vector<Item>> items = items_of_commit(odb->get(), *id, seen);
    if (!items.ok()) {
        return items.error();
    }

    git_packbuilder* made = nullptr;
    if (const int code = git_packbuilder_new(&made, opened->get()); code != 0) {
        return git_error_of(code, "cannot make a pack");
    }
    const GitPackBuilder builder(made);
    git_packbuilder_set_threads(builder.get(),
                                1); // more would make the bytes depend on the machine
    // The commit always travels: a pack is never empty.
    int code = git_packbuilder_insert(builder.get(), &*id, nullptr);
    std::vector<std::pair<const Item*, git_oid>> deltas;
    for (const Item& item : *items) {
        const auto base = bases.find({item.type, item.path});
        if (base != bases.end()) {
            deltas.emplace_back(&item, base->second);
        }
    }
    std::set<git_oid, OidLess> as_delta;
    std::string tail;
    for (const auto& [item, base] : deltas) {
        std::string entry = delta_entry(odb->get(), *item, base);
        if (!entry.empty()) {
            as_delta.insert(item->id);
            tail += entry;
        }
    }
    for (const Item& item : *items) {
        if (code == 0 && !as_delta.contains(item.id)) {
            code = git_packbuilder_insert(builder.get(), &item.id, item.path.c_str());
        }
    }
    PackFile file(out);
    if (code == 0 && file.status().ok()) {
        code = git_packbuilder_foreach(builder.get(), &PackFile::take, &file);
    }
    if (code != 0 && file.status().ok()) {
        ::unlink(out.c_str());
        return git_error_of(code, "cannot make the pack of " + commit);
    }
    file.drop_trailer();
    file.add(tail);
    Result<PackInfo> info = file.finish(
        static_cast<std::uint32_t>(git_packbuilder_object_count(builder.get()) + as_delta.size()));
    if (info.ok() && info->size > pack_bytes_max) {
        ::unlink(out.c_str());
        return fail(Code::refused, "the pack of " + commit + " is larger than the limit of " +
                                       std::to_string(pack_bytes_max) + " bytes");
    }
    return info;
}

} // namespace hasp::maint
