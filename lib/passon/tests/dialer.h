// What an app that is a process needs around it: a folder, and a dialer as in its sandbox.
#pragma once

#include "base/files.h"
#include "harness.h"
#include "net/dial.h"
#include "net/listener.h"

#include <gtest/gtest.h>

#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace hasp::passon::testing {

class Folder {
  public:
    Folder() {
        char name[] = "/tmp/hasp-passon-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { (void)remove_tree(path).ok(); }
    void put(const std::string& name, const std::string& content) const {
        const std::string full = path + "/" + name;
        ASSERT_TRUE(make_folders(full.substr(0, full.rfind('/'))).ok());
        ASSERT_TRUE(write_file_durably(full, content, 0644).ok());
    }
    std::string path;
};

// Hands out connections to a backend like the dialer in an app's sandbox.
class Dialer {
  public:
    Dialer(const std::string& path, int backend_port) : backend_port_(backend_port) {
        if (::pipe(stop_) != 0) {
            throw std::runtime_error("no pipe");
        }
        listener_ = std::move(*net::listen_on(*net::Address::parse("unix:" + path)));
        thread_ = std::thread([this] {
            for (;;) {
                pollfd waiting[2] = {{listener_.get(), POLLIN, 0}, {stop_[0], POLLIN, 0}};
                ::poll(waiting, 2, -1);
                if (waiting[1].revents != 0) {
                    return;
                }
                const Fd peer{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
                if (peer) {
                    const Fd app = connect_loopback(backend_port_);
                    (void)net::answer_dial(peer.get(), app.get()).ok();
                }
            }
        });
    }
    ~Dialer() {
        (void)!::write(stop_[1], "", 1);
        thread_.join();
        ::close(stop_[0]);
        ::close(stop_[1]);
    }

  private:
    int backend_port_;
    int stop_[2] = {-1, -1};
    Fd listener_;
    std::thread thread_;
};

} // namespace hasp::passon::testing
