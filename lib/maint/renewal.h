// Certificates between tiers come to an end: this asks the parent for new ones over the live link,
// long before, for the same keys, and answers children that ask. The top signs its own. What is
// held stands, on the disk and in use, until the new ones are verified and durable. One thread.
#pragma once

#include "enrolment.h"
#include "links.h"
#include "maint/tier_identity.h"

#include <functional>
#include <string>

namespace hasp::maint {

class Renewal {
  public:
    struct World {
        Links& links;
        const Clock& clock;
        Random& random;
        const Log& log;
        TierIdentity& me; // changed when new certificates are taken
        Enrolment& enrolment;
        std::string keys_folder;
        std::function<std::int64_t()> trusted_now_us;
        std::function<void()> renewed; // front must show the new ones
    };
    explicit Renewal(World world);

    void parent_connected();
    void tick();

  private:
    bool due() const;
    void ask();
    void take(const Message& answer);
    void sign_own();
    void put_in_use(TierIdentity next);

    World world_;
    bool asking_ = false;
    std::int64_t again_us_ = 0; // boot clock; not before this
};

} // namespace hasp::maint
