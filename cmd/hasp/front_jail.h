// What front gives up before it reads a byte of a stranger: its user (when started as root), every
// path but the releases that it serves, and the system calls that only a broken-into process would
// make.
#pragma once

#include "base/result.h"

#include <string>

namespace hasp::cmd {

struct JailOptions {
    std::string user;     // to become, when root; empty: stay
    std::string releases; // folder that stays readable
    bool seccomp = true;
};

// Once, after every descriptor and certificate is at hand, before the first request. No way back.
// An error means that front must not serve, except that a kernel without Landlock is no error:
// *reached says what is in force ("user nobody, landlock, seccomp"). A build with AddressSanitizer,
// and no other, leaves the jail open where HASP_FRONT_UNJAILED is set, so that leaks can be looked
// for.
Status enter_jail(const JailOptions& options, std::string& reached);

// Before anything starts, as root: whether `user` can pass through `folder` and every folder above
// it, as front and the apps must. Code::refused names the folder that is closed.
Status check_reach(const std::string& user, const std::string& folder);

} // namespace hasp::cmd
