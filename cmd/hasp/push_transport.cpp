#include "push_transport.h"

#include "state.h"

namespace hasp::cmd {

namespace {

class LocalTransport final : public PushTransport {
  public:
    LocalTransport(const Args& args, Env& env) : args_(args), env_(env) {}
    Result<Json> call(const std::string& command, const Json& args,
                      std::string_view body) override {
        return run_at_state(args_, env_, command, args, body);
    }
    bool local() const override { return true; }

  private:
    const Args& args_;
    Env& env_;
};

} // namespace

std::unique_ptr<PushTransport> local_transport(const Args& args, Env& env) {
    return std::make_unique<LocalTransport>(args, env);
}

Result<std::unique_ptr<PushTransport>> push_transport(const Args& args, Env& env) {
    const std::string center = args.get("center");
    if (center.empty()) {
        return local_transport(args, env);
    }
    const std::string token = env.variable("HASP_TOKEN").value_or("");
    if (token.empty()) {
        return fail(Code::usage, "there is no token for " + center,
                    "put one into HASP_TOKEN: hasp token create USER --push APP");
    }
    return http_transport({center, token, env.variable("HASP_CA").value_or("")});
}

Option center_option() {
    return {.name = "center",
            .metavar = "URL",
            .text = "the tier's web address, with the token in HASP_TOKEN and, for a private "
                    "authority, its certificate's file in HASP_CA (default: the tier at --state)",
            .kind = Kind::value,
            .env = "HASP_CENTER"};
}

} // namespace hasp::cmd
