// What a command asks of its arguments, and how it says that something went wrong.
#include "command.h"

#include "base/log.h"
#include "base/text.h"

#include <cstdio>
#include <cstdlib>

namespace hasp::cmd {

const Args::Value& Args::at(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) {
        std::fprintf(stderr, "hasp: bug: a command asks for `%.*s`, which is not in its table\n",
                     static_cast<int>(name.size()), name.data());
        std::abort();
    }
    return found->second;
}

bool Args::flag(std::string_view name) const {
    return at(name).on;
}
bool Args::given(std::string_view name) const {
    return at(name).given;
}
std::string Args::get(std::string_view name) const {
    return find(name).value_or("");
}
const std::vector<std::string>& Args::list(std::string_view name) const {
    return at(name).texts;
}

std::optional<std::string> Args::find(std::string_view name) const {
    const Value& value = at(name);
    return value.texts.empty() ? std::nullopt : std::optional(value.texts.front());
}

Result<std::uint64_t> Args::number(std::string_view name, std::uint64_t least,
                                   std::uint64_t most) const {
    const std::optional<std::uint64_t> number = parse_u64(get(name));
    if (!number || *number < least || *number > most) {
        return fail(Code::usage, "--" + std::string(name) + " must be a number from " +
                                     std::to_string(least) + " to " + std::to_string(most) +
                                     ", not `" + get(name) + "`");
    }
    return *number;
}

void print_error(bool json, Env& env, const Error& error) {
    if (json) {
        env.err(std::string(R"({"error":{"code":")") + code_name(error.code) + R"(","message":")" +
                json_escape(error.message) + R"(","hint":")" + json_escape(error.hint) + "\"}}\n");
        return;
    }
    env.err("hasp: " + error.message + "\n" + (error.hint.empty() ? "" : "  " + error.hint + "\n"));
}

int report(const Args& args, Env& env, const Error& error) {
    print_error(args.json(), env, error);
    return exit_code(error.code);
}

} // namespace hasp::cmd
