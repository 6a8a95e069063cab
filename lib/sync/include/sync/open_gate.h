// Who opens a file whose content is to come (absent.h) waits here until it is there: on the
// kernel's permission events (fanotify(7), FAN_OPEN_PERM), which come before the opened file can be
// read, written, mapped or run by whoever asked, whatever his namespaces are. truncate(2) of a path
// and a rename open nothing.
//
// The group of marks is made by open_gate_group() and held by a process that outlives whoever
// answers: as long as any process has it open, whoever opens waits, and when the last one closes
// it, all waiting opens go on and read zeros. Opens by the answering process itself never wait.
//
// Any thread; take() and answer() by one. A thread of its own reads the events.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "sync/disk.h"

#include <memory>
#include <string>
#include <vector>

namespace hasp::sync {

// So many opens are answered at a time; more wait in the kernel.
inline constexpr std::size_t gate_waiting_max = 512;

class OpenGate {
  public:
    virtual ~OpenGate() = default;
    // Readable when take() has something.
    virtual int fd() const = 0;
    // Opens of this file, beneath the gate's root, wait from now on. The mark stays with the file
    // until it has its content. failed: the kernel takes no more of them, or none.
    virtual Status hold(const std::string& path) = 0;
    // Whether files can be marked so at all, as it was tried when this began; else why not.
    virtual Status can_hold() const = 0;
    struct Opening {
        std::unique_ptr<AbsentFile> file; // open for writing
        std::uint64_t number = 0;         // for answer(), once
    };
    virtual std::vector<Opening> take() = 0;
    // `error`: 0 lets it go on; else what open(2) says: EIO, ENOSPC. Where the kernel knows no such
    // answer, it says EPERM. Whoever has not been answered when this ends is answered EIO.
    virtual void answer(std::uint64_t number, int error) = 0;
};

// failed: the kernel or the rights of this process do not allow it.
Result<Fd> open_gate_group();
// `group` as above, held elsewhere too. `root` is the folder that Disk has. What an earlier process
// left unanswered is answered EIO. failed: this process has no descriptors for it.
Result<std::shared_ptr<OpenGate>> open_gate(Fd group, const std::string& root);

} // namespace hasp::sync
