#include "base/result.h"

#include <array>
#include <cerrno>
#include <cstring>

namespace hasp {

namespace {
struct Row {
    Code code;
    int exit;
    const char* name;
};
constexpr std::array<Row, 9> rows{{
    {Code::failed, 1, "failed"},
    {Code::usage, 2, "usage"},
    {Code::partial, 3, "partial"},
    {Code::refused, 4, "refused"},
    {Code::not_found, 5, "not_found"},
    {Code::conflict, 6, "conflict"},
    {Code::unreachable, 7, "unreachable"},
    {Code::timed_out, 8, "timed_out"},
    {Code::try_later, 75, "try_later"},
}};

Code code_of_errno(int e) {
    switch (e) {
    case ENOENT:
        return Code::not_found;
    case EEXIST:
        return Code::conflict;
    case EACCES:
    case EPERM:
        return Code::refused;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return Code::unreachable;
    case ETIMEDOUT:
        return Code::timed_out;
    default:
        return Code::failed;
    }
}
} // namespace

int exit_code(Code code) {
    for (const Row& row : rows) {
        if (row.code == code) {
            return row.exit;
        }
    }
    return 1;
}

const char* code_name(Code code) {
    for (const Row& row : rows) {
        if (row.code == code) {
            return row.name;
        }
    }
    return "failed";
}

Code code_from_name(const std::string& name) {
    for (const Row& row : rows) {
        if (name == row.name) {
            return row.code;
        }
    }
    return Code::failed;
}

Error errno_error(int errno_value, const std::string& context) {
    return fail(code_of_errno(errno_value), context + ": " + std::strerror(errno_value));
}

} // namespace hasp
