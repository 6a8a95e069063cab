// The dialer's arguments: written by the spawner, read by the same binary inside the sandbox.
#include "dialer_words.h"

#include "base/text.h"

#include <unistd.h>

namespace hasp::run {

std::vector<std::string> dialer_words(const DialerOptions& o) {
    std::string target = "tcp:" + std::to_string(o.port);
    if (o.unix_socket) {
        target = "unix:" + o.socket_path;
    }
    const Limits& l = o.limits;
    std::string limits = std::to_string(l.processes) + "," + std::to_string(l.memory_mb) + "," +
                         std::to_string(l.files) + "," + std::to_string(l.file_size_mb) + "," +
                         (o.limit_data ? "d" : "") + (o.landlocked ? "l" : "");
    return {dialer_word,
            o.listen_fd < 0 ? "none" : std::to_string(o.listen_fd),
            std::to_string(o.control_fd),
            target,
            limits,
            "--"};
}

std::optional<DialerCall> parse_dialer_words(const std::vector<std::string>& words) {
    if (words.size() < 6 || words[4] != "--") {
        return std::nullopt;
    }
    DialerCall call;
    DialerOptions& o = call.options;
    const auto listen = parse_u64(words[0]);
    const auto control = parse_u64(words[1]);
    const std::string& target = words[2];
    const auto numbers = split(words[3], ',');
    if ((!listen && words[0] != "none") || !control || numbers.size() != 5) {
        return std::nullopt;
    }
    o.listen_fd = listen ? static_cast<int>(*listen) : -1;
    o.control_fd = static_cast<int>(*control);
    if (target.starts_with("unix:")) {
        o.unix_socket = true;
        o.socket_path = target.substr(5);
    } else {
        const auto port = target.starts_with("tcp:") ? parse_u64(target.substr(4)) : std::nullopt;
        if (!port || *port > 65535) {
            return std::nullopt;
        }
        o.port = static_cast<std::uint16_t>(*port);
    }
    std::int64_t* const values[] = {&o.limits.processes, &o.limits.memory_mb, &o.limits.files,
                                    &o.limits.file_size_mb};
    for (std::size_t i = 0; i < 4; ++i) {
        const auto value = parse_u64(numbers[i]);
        if (!value) {
            return std::nullopt;
        }
        *values[i] = static_cast<std::int64_t>(*value);
    }
    o.limit_data = numbers[4].find('d') != std::string_view::npos;
    o.landlocked = numbers[4].find('l') != std::string_view::npos;
    call.command.assign(words.begin() + 5, words.end());
    return call;
}

int dialer_command(int argc, char** argv) {
    const auto call = parse_dialer_words(std::vector<std::string>(argv, argv + argc));
    if (!call) {
        ::dprintf(2, "hasp: the dialer is started by hasp itself, inside an app's sandbox\n");
        return 2;
    }
    return dialer_main(call->options, call->command);
}

} // namespace hasp::run
