// The way of a push to its tier: the admin socket of this machine, or HTTP with a token. One
// question at a time, blocking.
#pragma once

#include "base/result.h"
#include "command.h"
#include "json_tools.h"

#include <memory>
#include <string>
#include <string_view>

namespace hasp::cmd {

class PushTransport {
  public:
    virtual ~PushTransport() = default;
    // An admin command and the bytes that go with it. Errors are the tier's; unreachable when it
    // was not asked or its answer was lost: every command of a push may be asked again.
    virtual Result<Json> call(const std::string& command, const Json& args,
                              std::string_view body = {}) = 0;
    // The tier itself may sign: we are on its machine.
    virtual bool local() const = 0;
};

// By --center (HASP_CENTER) with HASP_TOKEN and HASP_CA, else at the state. `args` and `env` must
// outlive it. Code::usage: an address that is none, or no token.
Result<std::unique_ptr<PushTransport>> push_transport(const Args& args, Env& env);

// At the state, whatever the environment says: for what only an operator there may do.
std::unique_ptr<PushTransport> local_transport(const Args& args, Env& env);

struct HttpCenter {
    std::string url;   // "https://center.example", without a path
    std::string token; // a secret
    std::string ca;    // file; empty: the authorities of this machine
};
Result<std::unique_ptr<PushTransport>> http_transport(const HttpCenter& center);

// --center, for the commands that use push_transport().
Option center_option();

} // namespace hasp::cmd
