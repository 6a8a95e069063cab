#include "door.h"

#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

namespace hasp::cmd {

Door::~Door() {
    if (listening_) {
        ::unlink(path_.c_str());
    }
}

Status Door::open() {
    auto made = ipc::listen_unix(path_, 0600);
    if (!made.ok()) {
        return made.error();
    }
    listening_ = *std::move(made);
    return {};
}

void Door::watch(std::vector<pollfd>& fds) const {
    if (listening_ && clients_.size() < clients_max) {
        fds.push_back({listening_.get(), POLLIN, 0});
    }
    for (const auto& [id, client] : clients_) {
        fds.push_back(
            {client->fd(), static_cast<short>(POLLIN | (client->wants_write() ? POLLOUT : 0)), 0});
    }
}

void Door::on_ready(const pollfd& ready) {
    if (ready.revents == 0) {
        return;
    }
    if (ready.fd == listening_.get()) {
        accept();
        return;
    }
    for (auto& [id, client] : clients_) {
        if (client->fd() == ready.fd) {
            client->on_ready();
            break;
        }
    }
    std::erase_if(clients_, [](const auto& client) { return client.second->closed(); });
}

void Door::accept() {
    Fd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    ucred peer{};
    socklen_t size = sizeof peer;
    if (!socket || ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return;
    }
    if (peer.uid != 0 && peer.uid != ::geteuid()) {
        log_.warn("supervisor.refused", "a command of another user was refused",
                  {{"uid", std::to_string(peer.uid)}});
        return;
    }
    adopt(std::move(socket));
}

Door::Client Door::adopt(Fd socket) {
    const Client id = next_++;
    clients_[id] = std::make_unique<ipc::Channel>(
        std::move(socket),
        ipc::Channel::Callbacks{[this, id](ipc::Frame&& frame) {
                                    on_command_(id, text_of(parse_object(frame.head), "cmd"));
                                },
                                [](const Error&) {}},
        false);
    return id;
}

void Door::answer(Client client, const Result<Json>& result) {
    const auto at = clients_.find(client);
    if (at == clients_.end() || at->second->closed()) {
        return;
    }
    const Json head =
        result.ok() ? Json{{"result", *result}} : Json{{"error", error_json(result.error())}};
    if (const Status sent = at->second->send(dump(head)); !sent.ok()) {
        log_.warn("supervisor.answer", sent.error().message);
    }
}

int Door::socket_of(Client client) const {
    const auto at = clients_.find(client);
    return at == clients_.end() ? -1 : at->second->fd();
}

} // namespace hasp::cmd
