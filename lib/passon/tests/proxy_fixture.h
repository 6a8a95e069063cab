// One tier, one signed-on person, one backend.
#pragma once

#include "harness.h"

#include <gtest/gtest.h>

namespace hasp::passon::testing {

inline const std::string cookie = "Cookie: theme=dark; hasp-session=secret\r\n";

class Proxy : public ::testing::Test {
  protected:
    explicit Proxy(std::function<void(Backend::Peer&)> serve = echo_head(), Settings settings = {})
        : backend_(std::move(serve)), tier_("tokyo", std::move(settings)) {
        tier_.add_upstream("wiki", backend_.port(), registry::Access::users);
        tier_.add_upstream("open", backend_.port(), registry::Access::open);
        tier_.publish();
        tier_.keeper.know("cookie:secret", person("anna", {"wiki"}));
    }
    Backend backend_;
    Tier tier_;
};

} // namespace hasp::passon::testing
