#include "signon/handover.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "text_rules.h"

namespace hasp::signon {

void HandoverCodes::drop_old() {
    while (!by_age_.empty()) {
        const auto oldest = codes_.find(by_age_.front());
        const bool gone = oldest == codes_.end();
        if (!gone && oldest->second.until_boot_us > clock_.boot_us() &&
            by_age_.size() < handover_codes_max) {
            return;
        }
        if (!gone) {
            codes_.erase(oldest);
        }
        by_age_.pop_front();
    }
}

std::string HandoverCodes::issue(std::string_view sid, std::string_view app_host) {
    drop_old();
    std::string code = to_base64url(random_.bytes(32));
    const std::string key = sha256(code);
    codes_.emplace(
        key, Entry{std::string(sid), to_lower(app_host), clock_.boot_us() + handover_life_us});
    by_age_.push_back(key);
    return code;
}

Result<std::string> HandoverCodes::redeem(std::string_view code, std::string_view app_host) {
    const Error refusal = fail(Code::refused, "the hand-over code is not valid",
                               "open the app from the portal again");
    const auto found = codes_.find(sha256(code));
    if (found == codes_.end()) {
        return refusal;
    }
    const Entry entry = std::move(found->second);
    codes_.erase(found);
    if (entry.until_boot_us <= clock_.boot_us() || entry.app_host != to_lower(app_host)) {
        return refusal;
    }
    return entry.sid;
}

} // namespace hasp::signon
