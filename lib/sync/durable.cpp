// Making durable what an app wrote, before anybody relies on it.
#include "client_parts.h"
#include "scan.h"

namespace hasp::sync {

namespace {

// What is gone again is seen as such at the next look.
Status still_there(const Status& synced) {
    const bool gone =
        !synced && (synced.error().code == Code::not_found || synced.error().code == Code::refused);
    return gone ? Status{} : synced;
}

} // namespace

Status make_durable(Disk& disk, Reader& reader, const WorkingFolder& folder,
                    const std::vector<Touched>& touched) {
    std::set<std::string> files;
    std::set<std::string> folders;
    for (const Touched& one : touched) {
        const std::string path = folder.path + "/" + one.path;
        folders.insert(parent_path(path));
        if (one.kind == FileKind::folder) {
            folders.insert(path);
        }
        if (one.kind != FileKind::file) {
            continue;
        }
        files.insert(path);
        if (files.size() + folders.size() > syncs_one_by_one) {
            break;
        }
        auto beside = reader.companions(path);
        if (!beside) {
            return beside.error();
        }
        files.insert(beside->begin(), beside->end());
    }
    if (files.size() + folders.size() > syncs_one_by_one) {
        return disk.sync_all();
    }
    for (const std::string& file : files) {
        if (Status synced = still_there(disk.sync_file(file)); !synced) {
            return synced;
        }
    }
    for (const std::string& one : folders) {
        if (Status synced = still_there(disk.sync_folder(one)); !synced) {
            return synced;
        }
    }
    return {};
}

} // namespace hasp::sync
