// Apps: which process answers for an instance, and how one leaves without a request of anybody's
// failing. Front dials a fixed path; there stands a symlink to the socket of the process that
// serves, which changes places in one rename.
#include "apps.h"
#include "base/files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <unistd.h>
#include <utility>

namespace hasp::maint {

namespace {

// What a request may take that was under way when its process was replaced, and how long a
// WebSocket outlives its release. A download that takes longer is cut; without a limit an old
// release, and the memory of its process, would stay for as long as somebody keeps a page open.
constexpr std::int64_t drain_us = 30'000'000;
constexpr std::size_t release_in_name = 12;

Status put_link(const std::string& target, const std::string& path) {
    const std::string fresh = path + ".new";
    ::unlink(fresh.c_str());
    if (::symlink(target.c_str(), fresh.c_str()) != 0 ||
        ::rename(fresh.c_str(), path.c_str()) != 0) {
        return errno_error(errno, "cannot make the link " + path);
    }
    return {};
}

} // namespace

std::string Apps::key_of(const std::string& app, const std::string& user) {
    return user.empty() ? app : app + "." + user;
}

std::string Apps::process_name(const std::string& key, const std::string& release) {
    return key + "@" + release.substr(0, release_in_name);
}

std::string Apps::socket_path(const std::string& key) const {
    std::string file = key;
    std::replace(file.begin(), file.end(), '.', '/'); // neither an app nor a user has one
    return world_.state + "/run/apps/" + file + ".sock";
}

// From now on front reaches this process; its log is found under the instance's name.
Status Apps::point(const Instance& instance) {
    const std::string key = key_of(instance.app, instance.user);
    const std::string folder = world_.state + "/log/";
    std::array<char, 256> before{};
    const ssize_t size = ::readlink((folder + key + ".log").c_str(), before.data(), before.size());
    if (size > 0) {
        const std::string old(before.data(), static_cast<std::size_t>(size));
        if (old != instance.runs + ".log" && old.find('/') == std::string::npos) {
            ::unlink((folder + old).c_str());
        }
    }
    if (const Status log = put_link(instance.runs + ".log", folder + key + ".log"); !log.ok()) {
        world_.log.warn("app.log", log.error().message, {{"app", instance.app}});
    }
    const std::string path = socket_path(key);
    const Status made = make_folders(path.substr(0, path.rfind('/')), 0711);
    return made.ok() ? put_link(instance.runs + ".sock", path) : made;
}

void Apps::unpoint(const std::string& key) {
    ::unlink(socket_path(key).c_str());
}

void Apps::stop_process(const std::string& name, const std::string& reason) {
    world_.ports.send_spawner(dump({{"t", "stop"}, {"instance", name}, {"reason", reason}}), {});
}

void Apps::stop(const std::string& app, const std::string& user, const std::string& reason) {
    const std::string key = key_of(app, user);
    const auto at = instances_.find(key);
    if (at != instances_.end() && !at->second.runs.empty() && !leaving_.contains(at->second.runs)) {
        leave(at->second.runs, key, true, reason, [] {});
    }
}

// While it is the process of its instance, its socket is taken away first: who asks from now on
// waits for the next one. A successor that has taken the path already keeps it.
void Apps::leave(const std::string& name, const std::string& key, bool cut_tunnels,
                 const std::string& reason, std::function<void()> then) {
    if (const auto at = leaving_.find(name); at != leaving_.end()) {
        at->second.then.push_back(std::move(then));
        return;
    }
    const auto at = instances_.find(key);
    if (at == instances_.end() || at->second.runs.empty() || at->second.runs == name) {
        unpoint(key);
    }
    Leaving& one = leaving_[name];
    one.key = key;
    one.reason = reason;
    one.then.push_back(std::move(then));
    one.until_us = world_.clock.boot_us() + drain_us;
    if (!front_there_) {
        one.stopping = true;
        stop_process(name, reason);
        return;
    }
    one.ask = next_ask_++;
    world_.ports.send_front(dump({{"t", "retire"},
                                  {"ask", one.ask},
                                  {"path", socket_path(key)},
                                  {"cut_tunnels", cut_tunnels}}),
                            {}, {});
}

void Apps::on_retired(std::int64_t ask) {
    for (auto& [name, one] : leaving_) {
        if (one.ask == ask && !one.stopping) {
            one.stopping = true;
            stop_process(name, one.reason);
        }
    }
}

void Apps::front_gone() {
    front_there_ = false;
    upstreams_.clear();
    for (auto& [name, one] : leaving_) {
        on_retired(one.ask);
    }
}

void Apps::tick_leaving() {
    for (auto& [name, one] : leaving_) {
        if (!one.stopping && world_.clock.boot_us() >= one.until_us) {
            one.stopping = true;
            stop_process(name, one.reason);
        }
    }
}

// Who was about to leave is wanted again, and has not been told to stop yet.
bool Apps::take_back(Instance& instance, const std::string& name) {
    const auto at = leaving_.find(name);
    if (at == leaving_.end() || at->second.stopping || instance.held) {
        return false;
    }
    leaving_.erase(at);
    const bool other = !instance.runs.empty() && instance.runs != name;
    const std::string before = std::exchange(instance.runs, name);
    instance.release = rows_.at(instance.app).release_id;
    instance.state = {"ready", "it answers", "", world_.clock.wall_us()};
    settle(instance, point(instance));
    if (other) {
        leave(before, key_of(instance.app, instance.user), true, "another release serves", [] {});
    }
    return true;
}

// It has ended.
void Apps::left(const std::string& name) {
    const auto at = leaving_.find(name);
    const Leaving one = std::move(at->second);
    leaving_.erase(at);
    const auto instance = instances_.find(one.key);
    if (instance == instances_.end() ||
        (instance->second.runs != name && !instance->second.runs.empty())) {
        ::unlink((world_.state + "/log/" + name + ".log").c_str());
    }
    for (const auto& then : one.then) {
        then();
    }
}

void Apps::hold(Instance& instance, const std::string& reason, std::function<void()> then) {
    instance.held = true;
    if (instance.runs.empty()) {
        then();
        return;
    }
    leave(instance.runs, key_of(instance.app, instance.user), true, reason, std::move(then));
}

void Apps::release_hold(Instance& instance) {
    if (!std::exchange(instance.held, false)) {
        return;
    }
    if (!instance.waiting.empty() && rows_.contains(instance.app)) {
        order(instance);
    }
}

void Apps::end_all(const std::string& app, const std::string& reason) {
    for (auto& [key, instance] : instances_) {
        if (instance.app == app && !instance.runs.empty()) {
            leave(instance.runs, key, true, reason, [] {});
        }
    }
}

void Apps::take_over(Instance& instance, const std::string& name, const std::string& release,
                     const Json& head) {
    instance.runs = name;
    instance.release = release;
    instance.held = false;
    instance.used_us = world_.clock.boot_us();
    instance.ordered_us = 0;
    instance.state = {text_of(head, "state"), text_of(head, "reason"), text_of(head, "last_lines"),
                      int_of(head, "since_us")};
    settle(instance, point(instance));
}

bool Apps::may_run(const std::string& app, const std::string& user) const {
    for (const std::string& key : {key_of(app, user), app}) {
        const auto at = instances_.find(key);
        if (at != instances_.end() && (at->second.ordering || !at->second.waiting.empty())) {
            return true;
        }
    }
    return has_process(app, user);
}

bool Apps::has_process(const std::string& app, const std::string& user) const {
    const std::string his = key_of(app, user);
    const auto is_his = [&](const std::string& key) { return key == his || key == app; };
    for (const std::string& key : {his, app}) {
        const auto at = instances_.find(key);
        if (at != instances_.end() && (!at->second.runs.empty() || at->second.held)) {
            return true;
        }
    }
    return !spawner_there_ || std::any_of(leaving_.begin(), leaving_.end(), [&](const auto& one) {
        return is_his(one.second.key);
    }) || std::any_of(switches_.begin(), switches_.end(), [&](const auto& one) {
        return is_his(one.second.key) && !one.second.candidate.empty();
    });
}

std::optional<std::int64_t> Apps::used_at(const std::string& app, const std::string& user) const {
    const auto at = instances_.find(key_of(app, user));
    return at == instances_.end() || at->second.runs.empty() ? std::nullopt
                                                             : std::optional(at->second.used_us);
}

} // namespace hasp::maint
