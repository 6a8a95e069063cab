#include "state.h"

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "ipc/channel.h"
#include "maint/keeper.h"
#include "version.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

constexpr int command_ms_max = 600'000; // an import of a large release
constexpr int question_ms_max = 30'000; // what only looks
constexpr std::size_t secret_bytes_max = 64 * 1024;

// The keeper's surroundings for one command: nobody to talk to, and work done on the spot.
class OneCommand final : public maint::KeeperPorts {
  public:
    void send_front(std::string_view, std::string_view, std::span<const int>) override {}
    void send_spawner(std::string_view, std::string_view) override {}
    void answer_admin(std::uint64_t, std::string_view head, std::string_view) override {
        answer = std::string(head);
    }
    void background(std::function<void()> work, std::function<void()> done) override {
        work();
        done();
    }
    std::optional<std::string> answer;
};

Result<Json> unwrap(const std::string& head) {
    Json answer = parse_object(head);
    if (answer.contains("error")) {
        return error_of(member(answer, "error"));
    }
    return member(answer, "result");
}

constexpr int lock_again_ms = 20;

} // namespace

std::string absolute_path(const std::string& path) {
    std::error_code ec;
    const auto absolute = std::filesystem::absolute(path, ec);
    return ec ? path : absolute.lexically_normal().string();
}

Result<Fd> lock_state(const std::string& state, int patience_ms) {
    const std::string path = state + "/lock";
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) {
        return errno_error(errno, "cannot open " + path);
    }
    for (; ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0; patience_ms -= lock_again_ms) {
        if (patience_ms > 0) {
            ::poll(nullptr, 0, lock_again_ms);
            continue;
        }
        return fail(Code::conflict, "another hasp works on " + state,
                    "one daemon serves one state: stop it first, or use another --state");
    }
    return fd;
}

Result<maint::Config> state_config(const std::string& state, const std::string& file) {
    auto config = maint::load_config(file.empty() ? state + "/hasp.toml" : file);
    if (!config.ok() && config.error().code == Code::not_found && file.empty()) {
        return maint::Config{};
    }
    return config;
}

Result<Json> run_at_state(const Args& args, Env& env, const std::string& command,
                          const Json& arguments, std::string_view body) {
    const std::string state = absolute_path(args.state());
    const std::string request = dump({{"cmd", command}, {"args", arguments}});
    auto frame = ipc::call_unix(state + "/admin.sock", request, body,
                                command.starts_with("app.") || command.starts_with("bill.") ||
                                        command.starts_with("push.")
                                    ? command_ms_max
                                    : question_ms_max);
    if (frame.ok()) {
        return unwrap(frame->head);
    }
    if (frame.error().code != Code::unreachable && frame.error().code != Code::not_found) {
        return frame.error();
    }
    if (!std::filesystem::exists(state + "/keys/tier.json")) {
        return fail(
            Code::not_found, state + " holds no tier",
            "say where it is with --state or HASP_STATE, or make a center with `hasp init`");
    }
    auto lock = lock_state(state);
    if (!lock.ok()) {
        return fail(Code::try_later, "the daemon of " + state + " is starting or stopping",
                    "try again in a moment");
    }
    auto config = state_config(state);
    if (!config.ok()) {
        return config.error();
    }
    const Log log(STDERR_FILENO, env.clock, "hasp", args.json(), Level::error);
    OneCommand ports;
    auto keeper = maint::Keeper::open({state, *config, hasp_version, false, false}, ports,
                                      env.clock, env.random, log);
    if (!keeper.ok()) {
        return keeper.error();
    }
    (*keeper)->on_admin(1, {request, std::string(body), {}});
    (*keeper)->flush();
    return ports.answer ? unwrap(*ports.answer)
                        : fail(Code::try_later, "this needs the running tier",
                               "start it with `hasp serve`, and try again");
}

int show(const Args& args, Env& env, const Result<Json>& result,
         const std::function<std::string(const Json&)>& text) {
    if (!result.ok()) {
        return report(args, env, result.error());
    }
    env.out(args.json() ? dump(*result, 2) + "\n" : text(*result));
    return 0;
}

std::string columns(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    // Characters, not bytes: continuation bytes of UTF-8 take no room.
    const auto width = [](const std::string& text) {
        return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
            return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
        }));
    };
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], width(row[i]));
        }
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size()) {
                line += std::string(widths[i] - width(row[i]) + 2, ' ');
            }
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

std::string listing(const Args& args, const std::vector<std::vector<std::string>>& rows) {
    return args.quiet() && rows.size() == 1 ? std::string() : columns(rows);
}

std::string fields(const Json& object) {
    std::string out;
    std::size_t widest = 0;
    for (const auto& [key, value] : object.items()) {
        widest = std::max(widest, key.size());
    }
    for (const auto& [key, value] : object.items()) {
        std::string text;
        if (value.is_array()) {
            for (const Json& item : value) {
                text += (text.empty() ? "" : ", ") +
                        (item.is_string() ? item.get<std::string>() : dump(item));
            }
        } else if (value.is_string()) {
            text = value.get<std::string>();
        } else if (value.is_boolean()) {
            text = value.get<bool>() ? "yes" : "no";
        } else if (!value.is_null()) {
            text = dump(value);
        }
        out += key + std::string(widest - key.size() + 2, ' ') + (text.empty() ? "-" : text) + "\n";
    }
    return out;
}

Result<std::string> read_secret(const std::string& file, Env& env) {
    auto text = file == "-" ? env.in(secret_bytes_max) : read_file(file, secret_bytes_max);
    if (text.ok() && text->ends_with('\n')) {
        text->pop_back();
        if (text->ends_with('\r')) {
            text->pop_back();
        }
    }
    if (text.ok() && text->empty()) {
        return fail(Code::usage, (file == "-" ? std::string("standard input") : file) +
                                     " is empty, not a secret");
    }
    return text;
}

std::string kib_waiting(const Json& waits) {
    return std::to_string((count_of(waits, "bytes") + 1023) / 1024) + " KiB wait";
}

} // namespace hasp::cmd
