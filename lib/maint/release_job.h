// What travels between a store and the child process that reads a pack for it: the job on the
// child's standard input, a report on its standard output.
#pragma once

#include "base/result.h"
#include "maint/release.h"

#include <string>
#include <string_view>

namespace hasp::maint {

struct ImportJob {
    std::string pack;  // file; empty: everything is in `repo` already
    std::string stage; // an empty folder: the child makes STAGE/tree and STAGE/pack in it
    std::string repo;  // bases of deltas
    Release expected;
};

std::string encode_job(const ImportJob& job);
Result<ImportJob> decode_job(std::string_view text);

// "ok\n", or the error's code, message and hint, a line each.
std::string encode_report(const Status& status);
// An empty or malformed report is Code::failed.
Status decode_report(std::string_view text);

// The work of the child, in whatever process: STAGE/tree holds the verified release (its top folder
// still writable), STAGE/pack the pack with its index. Everything is synced.
Status run_import(const ImportJob& job);

} // namespace hasp::maint
