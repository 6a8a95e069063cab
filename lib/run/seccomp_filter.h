// The system calls that no app gets. Private; libseccomp stays in the .cpp.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace hasp::run {

struct SeccompOptions {
    // Where no network namespace holds the app: no sockets but these.
    bool deny_datagrams = false; // no UDP and raw sockets (TCP is Landlock's)
    bool deny_internet = false;  // no AF_INET and AF_INET6 at all
};

// The filter as BPF in a memory file, read from its beginning: what bwrap --seccomp takes.
Result<Fd> seccomp_program(const SeccompOptions& options);
// The filter on this thread and what it starts. Needs PR_SET_NO_NEW_PRIVS.
Status seccomp_load_here(const SeccompOptions& options);

} // namespace hasp::run
