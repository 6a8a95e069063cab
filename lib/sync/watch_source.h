// The kernel's events about single folders, as one form for both ways to get them.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <functional>
#include <memory>
#include <string>

namespace hasp::sync {

// Names a folder as long as it is marked: a kernel's number for it, opaque.
using FolderKey = std::string;

struct RawEvent {
    enum class Kind : unsigned char {
        overflow, // events were lost
        made,
        removed,
        moved, // from `name` in `folder` to `to_name` in `to`; an end that is not marked is empty
        written,
        closed,   // or its metadata changed
        self_gone // the marked folder itself was moved, removed or unmounted
    };
    Kind kind = Kind::overflow;
    bool is_folder = false;
    FolderKey folder;
    std::string name; // closed: empty for the folder itself
    FolderKey to;
    std::string to_name;
};

// `read` by one thread at a time; `mark` and `forget` by any.
class WatchSource {
  public:
    virtual ~WatchSource() = default;
    // Readable when there are events.
    virtual int fd() const = 0;
    virtual std::string name() const = 0;
    // `folder` is open. `root`: its own end is told too.
    virtual Result<FolderKey> mark(int folder, bool root) = 0;
    virtual void forget(const FolderKey& key, int folder_or_none) = 0;
    // All that there are now.
    virtual void read(const std::function<void(const RawEvent&)>& event) = 0;
};

Result<std::unique_ptr<WatchSource>> open_inotify();
// Code::failed where the kernel, or the right to use it, lacks. Only `probe`'s file system is
// tried.
Result<std::unique_ptr<WatchSource>> open_fanotify(int probe);

} // namespace hasp::sync
