// What keeps apps apart on this machine, found out by trying. Blocking (tens of milliseconds): once
// at start-up.
#pragma once

#include <string>

namespace hasp::run {

enum class IsolationKind : unsigned char { bwrap, landlock, none };

struct Isolation {
    IsolationKind kind = IsolationKind::none;
    std::string bwrap;  // absolute path of the program, kind = bwrap only
    std::string cgroup; // folder of cgroup v2 beneath which apps get their own, empty: none
    std::string
        name; // for people and `hasp status`: "bwrap", "bwrap (no cgroup)", "landlock", "none"
    std::string reason;   // why it is not better; empty for plain "bwrap"
    int landlock_abi = 0; // 0: the kernel has none
};

// Tries bubblewrap with the namespaces that apps need (as `try_uid` when running as root), then
// Landlock, then cgroup v2. Never fails: the answer may be "none", with the reason.
Isolation detect_isolation(unsigned try_uid);

} // namespace hasp::run
