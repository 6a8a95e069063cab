// STATE/supervisor.sock: where `hasp reload` and `hasp restart` are given. The keeper cannot take
// them, since it may end by them.
#pragma once

#include "base/fd.h"
#include "base/log.h"
#include "base/result.h"
#include "ipc/channel.h"
#include "json_tools.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <poll.h>
#include <string>
#include <vector>

namespace hasp::cmd {

inline constexpr const char* door_name = "/supervisor.sock";

// One thread, with poll(2).
class Door {
  public:
    static constexpr std::size_t clients_max = 8;
    using Client = std::uint64_t;

    // `on_command` gets each command once; answer() is called for it once, now or later.
    Door(std::string state, const Log& log,
         std::function<void(Client, const std::string& command)> on_command)
        : path_(std::move(state) + door_name), log_(log), on_command_(std::move(on_command)) {}
    // Takes its socket's file away.
    ~Door();
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;

    Status open();
    // Appends what is to be polled; afterwards on_ready() with the same part.
    void watch(std::vector<pollfd>& fds) const;
    void on_ready(const pollfd& ready);
    // {"result": …} or {"error": …}. Nothing when the client has gone.
    void answer(Client client, const Result<Json>& result);
    // Over an exec: the client's socket, to be adopted there. -1: it has gone.
    int socket_of(Client client) const;
    Client adopt(Fd socket);

  private:
    void accept();

    std::string path_;
    const Log& log_;
    std::function<void(Client, const std::string&)> on_command_;
    Fd listening_;
    std::map<Client, std::unique_ptr<ipc::Channel>> clients_;
    Client next_ = 1;
};

} // namespace hasp::cmd
