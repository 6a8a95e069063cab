#include "handover.h"

#include "json_tools.h"

#include <limits>

namespace hasp::cmd {

namespace {

// A number of the JSON in [least, most].
template <typename Number>
bool take(const Json& json, const char* key, Number least, Number most, Number& into) {
    const Json& value = member(json, key);
    if (!value.is_number_integer() || value < least || value > most) {
        return false;
    }
    into = value.get<Number>();
    return true;
}

bool take_fd(const Json& json, const char* key, int least, int& into) {
    constexpr int fd_max = 1 << 20;
    return take(json, key, least, fd_max, into);
}

bool take_text(const Json& json, const char* key, std::string& into) {
    const Json& value = member(json, key);
    if (!value.is_string()) {
        return false;
    }
    into = value.get<std::string>();
    return true;
}

bool take_process(const Json& json, Handover::Process& into) {
    constexpr auto number_max = std::numeric_limits<std::uint32_t>::max() - 1;
    into.leaving = true_of(json, "leaving");
    if (!json.contains("more_lanes")) {
        into.more.reset();
    } else if (!take<std::uint32_t>(json, "more_lanes", 0, lanes_all - 1, into.more->first) ||
               !take<std::uint32_t>(json, "more_count", 0, lanes_all - into.more->first,
                                    into.more->count)) {
        return false;
    }
    return take_text(json, "role", into.role) &&
           (into.role == "front" || into.role == "keeper" || into.role == "spawner") &&
           take<pid_t>(json, "pid", 2, std::numeric_limits<pid_t>::max(), into.pid) &&
           take_fd(json, "control", 0, into.control) &&
           take<std::uint32_t>(json, "number", 0, number_max, into.number) &&
           take<std::uint32_t>(json, "lane", 0, 63, into.lane) &&
           take<std::int64_t>(json, "until_us", 0, std::numeric_limits<std::int64_t>::max(),
                              into.until_us) &&
           (!into.leaving || into.role == "front") && (into.role != "front" || into.number > 0);
}

bool take_socket(const Json& json, Handover::Socket& into) {
    return take_text(json, "kind", into.kind) && take_text(json, "spec", into.spec) &&
           take_text(json, "address", into.address) && take_fd(json, "fd", 0, into.fd);
}

template <typename Item>
bool take_list(const Json& json, const char* key, bool (*take_item)(const Json&, Item&),
               std::vector<Item>& into) {
    const Json& list = member(json, key);
    if (!list.is_array() || list.size() > handover_items_max) {
        return false;
    }
    for (const Json& one : list) {
        into.emplace_back();
        if (!take_item(one, into.back())) {
            return false;
        }
    }
    return true;
}

// One of each role that serves, none twice.
bool is_whole(const Handover& all) {
    int front = 0;
    int keeper = 0;
    int spawner = 0;
    for (const Handover::Process& one : all.processes) {
        front += one.role == "front" && !one.leaving ? 1 : 0;
        keeper += one.role == "keeper" ? 1 : 0;
        spawner += one.role == "spawner" ? 1 : 0;
    }
    return front <= 1 && keeper <= 1 && spawner <= 1;
}

} // namespace

std::string pack(const Handover& all) {
    Json listening = Json::array();
    for (const Handover::Socket& one : all.listening) {
        listening.push_back(
            {{"kind", one.kind}, {"spec", one.spec}, {"address", one.address}, {"fd", one.fd}});
    }
    Json processes = Json::array();
    for (const Handover::Process& one : all.processes) {
        Json process = {{"role", one.role},        {"pid", one.pid},   {"control", one.control},
                        {"number", one.number},    {"lane", one.lane}, {"leaving", one.leaving},
                        {"until_us", one.until_us}};
        if (one.more) { // what is not known stays so
            process["more_lanes"] = one.more->first;
            process["more_count"] = one.more->count;
        }
        processes.push_back(std::move(process));
    }
    return dump({{"format", handover_format},
                 {"lock", all.lock},
                 {"ring", all.ring},
                 {"gate", all.gate},
                 {"program", all.program},
                 {"client", all.client},
                 {"next_number", all.next_number},
                 {"cache_holder", all.cache_holder},
                 {"program_path", all.program_path},
                 {"config", all.config},
                 {"failure", all.failure},
                 {"listening", listening},
                 {"processes", processes}});
}

Result<Handover> unpack_handover(std::string_view text) {
    if (text.size() > handover_bytes_max) {
        return fail(Code::usage, "the handover of the program before is too large");
    }
    const Json json = parse_object(text);
    if (int_of(json, "format") != handover_format) {
        return fail(Code::refused,
                    "the program that runs hands over in a format that this one does not know",
                    "stop the tier and start it");
    }
    Handover out;
    constexpr auto number_max = std::numeric_limits<std::uint32_t>::max() - 1;
    if (!take_fd(json, "lock", 0, out.lock) || !take_fd(json, "ring", 0, out.ring) ||
        (json.contains("gate") && !take_fd(json, "gate", -1, out.gate)) ||
        !take_fd(json, "program", -1, out.program) || !take_fd(json, "client", -1, out.client) ||
        !take<std::uint32_t>(json, "next_number", 1, number_max, out.next_number) ||
        !take<std::uint32_t>(json, "cache_holder", 0, number_max, out.cache_holder) ||
        !take_text(json, "program_path", out.program_path) ||
        !take_text(json, "config", out.config) || !take_text(json, "failure", out.failure) ||
        !take_list(json, "listening", take_socket, out.listening) ||
        !take_list(json, "processes", take_process, out.processes) || !is_whole(out)) {
        return fail(Code::usage, "the handover of the program before cannot be read");
    }
    return out;
}

std::vector<int> descriptors_of(const Handover& all) {
    std::vector<int> out;
    for (const int fd : {all.lock, all.ring, all.gate, all.program, all.client}) {
        if (fd >= 0) {
            out.push_back(fd);
        }
    }
    for (const Handover::Socket& one : all.listening) {
        out.push_back(one.fd);
    }
    for (const Handover::Process& one : all.processes) {
        out.push_back(one.control);
    }
    return out;
}

} // namespace hasp::cmd
