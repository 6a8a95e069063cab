// hasp doctor: the machine under a tier.
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "doctor.h"
#include "maint/tier_identity.h"
#include "store/db.h"
#include "trust/certificate.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

constexpr std::int64_t certificate_soon_us = 30 * day_us;
constexpr std::uint64_t disk_low_bytes = 500ULL << 20;
constexpr std::uint64_t disk_out_bytes = 50ULL << 20;
constexpr int connect_ms = 1'000;

void look_at_folder(std::vector<Finding>& out, const std::string& state) {
    struct stat s {};
    if (::stat(state.c_str(), &s) != 0) {
        out.push_back({"state", Health::problem, "cannot look at " + state + ": " + strerror(errno),
                       "run it as the tier's user, or as root"});
        return;
    }
    if ((s.st_mode & 022U) != 0) {
        out.push_back(
            {"state", Health::problem, "others may write into " + state, "chmod go-w " + state});
    } else if (s.st_uid != ::geteuid() && ::geteuid() != 0) {
        out.push_back({"state", Health::warning, state + " belongs to another user",
                       "run hasp as the user that owns it"});
    } else {
        out.push_back({"state", Health::good, state + " is the tier's alone to write", ""});
    }
    bool open = false;
    std::error_code ec;
    for (const auto& entry : std::filesystem::directory_iterator(state + "/keys", ec)) {
        struct stat key {};
        if (::stat(entry.path().c_str(), &key) == 0 && S_ISREG(key.st_mode) &&
            (key.st_mode & 077U) != 0) {
            open = true;
            out.push_back({"keys", Health::problem, "others may read " + entry.path().string(),
                           "chmod 600 " + entry.path().string() +
                               "; if others use this machine, enrol anew with new keys"});
        }
    }
    if (ec) {
        out.push_back({"keys", Health::problem, "cannot look at the keys: " + ec.message(),
                       "run it as the tier's user, or as root"});
    } else if (!open) {
        out.push_back({"keys", Health::good, "the keys are readable by the tier alone", ""});
    }
}

void look_at_certificates(std::vector<Finding>& out, const std::string& state,
                          std::int64_t now_us) {
    auto me = maint::load_identity(state + "/keys");
    if (!me.ok()) {
        out.push_back({"certificates", Health::problem, me.error().message, me.error().hint});
        return;
    }
    const std::vector<std::string>& chain = me->ca_chain_der;
    const auto holds = [&](std::int64_t at_us) {
        return trust::verify_ca_chain(chain, me->realm_id, at_us);
    };
    const auto now = holds(now_us);
    const auto later = holds(now_us + certificate_soon_us);
    const std::string next =
        me->has_parent() ? "hasp local invite there, and hasp relay --join here, make new ones"
                         : "the root cannot be renewed: plan a new realm";
    if (!now.ok()) {
        out.push_back({"certificates", Health::problem, now.error().message, next});
    } else if (!later.ok()) {
        out.push_back(
            {"certificates", Health::warning, "within 30 days: " + later.error().message, next});
    } else {
        std::int64_t first_us = now->front().not_after_us;
        for (const trust::CaKey& key : *now) {
            first_us = std::min(first_us, key.not_after_us);
        }
        out.push_back({"certificates", Health::good,
                       "the certificates are good until " + rfc3339(first_us), ""});
    }
}

void look_at_database(std::vector<Finding>& out, const std::string& state) {
    store::DbOptions options;
    options.create = false;
    options.read_only = true;
    auto db = store::Db::open(state + "/keeper.db", options);
    const Status good = db.ok() ? (*db)->quick_check() : Status(db.error());
    out.push_back({"database", good.ok() ? Health::good : Health::problem,
                   good.ok() ? "keeper.db is whole" : good.error().message,
                   good.ok() ? "" : "stop the tier, keep a copy of STATE, and restore a backup"});
}

void look_at_disk(std::vector<Finding>& out, const std::string& state) {
    struct statvfs s {};
    if (::statvfs(state.c_str(), &s) != 0) {
        return; // said of the folder already
    }
    const std::uint64_t free_bytes = std::uint64_t{s.f_bavail} * s.f_frsize;
    const Health health = free_bytes < disk_out_bytes   ? Health::problem
                          : free_bytes < disk_low_bytes ? Health::warning
                                                        : Health::good;
    out.push_back({"disk", health, std::to_string(free_bytes >> 20U) + " MB are free for " + state,
                   health == Health::good ? "" : "make room, or move STATE to a larger disk"});
    if (s.f_files > 0 && s.f_favail < 10'000) {
        out.push_back({"disk", Health::warning,
                       "only " + std::to_string(s.f_favail) + " more files fit", "make room"});
    }
}

// "127.0.0.1:8480", "[::1]:8480". A wildcard is asked at loopback.
bool answers(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    const auto port = colon == std::string::npos
                          ? std::nullopt
                          : parse_u64(std::string_view(address).substr(colon + 1));
    if (!port || *port == 0 || *port > 65'535) {
        return false;
    }
    std::string host = address.substr(0, colon);
    sockaddr_storage where{};
    socklen_t size = 0;
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(static_cast<std::uint16_t>(*port));
        size = sizeof *v6;
        if (::inet_pton(AF_INET6, host == "::" ? "::1" : host.c_str(), &v6->sin6_addr) != 1) {
            return false;
        }
    } else {
        auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(static_cast<std::uint16_t>(*port));
        size = sizeof *v4;
        if (::inet_pton(AF_INET, host == "0.0.0.0" ? "127.0.0.1" : host.c_str(), &v4->sin_addr) !=
            1) {
            return false;
        }
    }
    const Fd socket(::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        return false;
    }
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), size) == 0) {
        return true;
    }
    pollfd wait{socket.get(), POLLOUT, 0};
    int error = 0;
    socklen_t error_size = sizeof error;
    return errno == EINPROGRESS && ::poll(&wait, 1, connect_ms) == 1 &&
           ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size) == 0 && error == 0;
}

void look_at_ports(std::vector<Finding>& out, const maint::Config& config) {
    std::vector<std::string> all = config.web.listen;
    all.insert(all.end(), config.web.tls_listen.begin(), config.web.tls_listen.end());
    all.insert(all.end(), config.link.listen.begin(), config.link.listen.end());
    for (const std::string& address : all) {
        const bool good = answers(address);
        out.push_back({"ports", good ? Health::good : Health::problem,
                       address + (good ? " answers" : " does not answer"),
                       good ? ""
                            : "look into the tier's log; start it again after a change of "
                              "hasp.toml"});
    }
}

} // namespace

std::vector<Finding> examine_machine(const std::string& state, const maint::Config& config,
                                     bool running, std::int64_t now_us) {
    std::vector<Finding> out;
    look_at_folder(out, state);
    look_at_certificates(out, state, now_us);
    look_at_database(out, state);
    look_at_disk(out, state);
    if (running) {
        look_at_ports(out, config);
    }
    return out;
}

} // namespace hasp::cmd
