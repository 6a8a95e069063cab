// One HTTP/1.0 GET to an app through its dialer, without blocking. Private; one thread.
#pragma once

#include "base/fd.h"

#include <cstdint>
#include <string>

namespace hasp::run {

class Probe {
  public:
    enum class Step : unsigned char { waiting, answered, failed };

    // Begins. `deadline_us` is the owner's business.
    Probe(const std::string& socket_path, const std::string& request_path,
          std::int64_t deadline_us);

    // Goes on as far as it can; call when fd() is ready for events().
    Step go_on();

    int fd() const { return app_ ? app_.get() : dialer_.get(); }
    unsigned events() const; // for epoll
    std::int64_t deadline_us() const { return deadline_us_; }
    int status() const { return status_; }                // once answered
    const std::string& reason() const { return reason_; } // once failed

  private:
    Step failed(std::string reason);
    Step read_dialer();
    Step read_answer();

    Fd dialer_;
    Fd app_;
    std::string request_;
    std::string answer_;
    std::string reason_;
    std::int64_t deadline_us_;
    int status_ = 0;
};

// A unix stream socket connected to (or bound at) a path of any length. Non-blocking,
// close-on-exec.
Fd connect_unix(const std::string& path, int& error);
Fd listen_unix(const std::string& path, int& error);

} // namespace hasp::run
