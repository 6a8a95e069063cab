// bench_apps APPS USERS REQUESTS: an engine whose registry holds so many apps, and a client that
// sends so many requests of its users, each of another user than the one before and to another app.
// Run under callgrind by bench/connections.py, which counts the instructions of the engine's
// thread from the moment that all is warm. Every user is known to the keeper, as many as fit to the
// engine; up to 200 apps and 10,000 users are asked for, spread over all.
#include "harness.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <valgrind/callgrind.h>
#include <vector>

using namespace hasp;
using namespace hasp::passon;
using namespace hasp::passon::testing;

namespace {

constexpr std::size_t apps_asked_max = 200;
constexpr std::size_t users_asked_max = 10'000;
constexpr std::size_t apps_a_user = 20;

std::string app_name(std::size_t index) {
    return "app-" + std::to_string(index);
}

// 42 characters, like a session's cookie.
std::string cookie_of(std::size_t user) {
    const std::string number = std::to_string(user);
    return std::string(42 - number.size(), 's') + number;
}

void serve(Backend::Peer& peer) {
    const std::string answer = "HTTP/1.1 200 OK\r\nServer: backend\r\n"
                               "Date: Mon, 07 Sep 2026 08:00:00 GMT\r\n"
                               "Content-Type: text/html; charset=utf-8\r\n"
                               "Cache-Control: no-store\r\nETag: \"5f1a-17c\"\r\n"
                               "Content-Length: 1024\r\n\r\n" +
                               std::string(1024, 'x');
    std::string head;
    std::string body;
    while (peer.request(head, body)) {
        peer.send(answer);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: bench_apps APPS USERS REQUESTS\n");
        return 2;
    }
    const auto apps = static_cast<std::size_t>(std::atol(argv[1]));
    const auto users = static_cast<std::size_t>(std::atol(argv[2]));
    const auto requests = static_cast<std::size_t>(std::atol(argv[3]));
    Backend backend(serve);
    Tier tier("tokyo");
    for (std::size_t i = 0; i < apps; ++i) {
        tier.add_upstream(app_name(i), backend.port(), registry::Access::users).lease_expires_us =
            SystemClock().wall_us() + 3'600'000'000;
    }
    tier.publish();
    const std::size_t apps_asked = std::min(apps, apps_asked_max);
    const std::size_t users_asked = std::min(users, users_asked_max);
    const auto app_of = [&](std::size_t user) {
        return app_name(user % apps_asked * (apps / apps_asked));
    };
    for (std::size_t user = 0; user < users; ++user) {
        std::vector<std::string> held{app_of(user / (users / users_asked))};
        for (std::size_t i = 1; i < std::min(apps, apps_a_user); ++i) {
            held.push_back(app_name((user * 7919 + i * 104'729) % apps));
        }
        tier.keeper.know("cookie:" + cookie_of(user), person("user-" + std::to_string(user), held));
    }
    Client client(tier.port());
    for (std::size_t i = 0; i < users_asked + requests; ++i) {
        if (i == users_asked) {
            CALLGRIND_START_INSTRUMENTATION;
        }
        const std::size_t asked = i % users_asked;
        const int status =
            client
                .get("/apps/" + app_of(asked) + "/page?id=17",
                     "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
                     "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"
                     "Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\n"
                     "Cookie: theme=dark; hasp-session=" +
                         cookie_of(asked * (users / users_asked)) + "\r\n")
                .status;
        if (status != 200) {
            std::fprintf(stderr, "bench_apps: request %zu got %d\n", i, status);
            return 1;
        }
    }
    CALLGRIND_STOP_INSTRUMENTATION;
    return 0;
}
