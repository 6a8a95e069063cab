#include "report_pace.h"

#include <utility>

namespace hasp::maint {

bool ReportPace::look(std::int64_t now_us) {
    if (!stale_ || (told_us_ != 0 && now_us - looked_us_ < report_step_us)) {
        return false;
    }
    stale_ = false;
    looked_us_ = now_us;
    return true;
}

bool ReportPace::tell(std::int64_t now_us, std::string matters, std::uint64_t useful_bytes) {
    const std::int64_t pause = useful_bytes != told_bytes_ ? report_busy_us : report_idle_us;
    if (told_us_ != 0 && now_us >= asked_until_us_ && matters == told_ &&
        now_us - told_us_ < pause) {
        return false;
    }
    told_us_ = now_us;
    told_ = std::move(matters);
    told_bytes_ = useful_bytes;
    return true;
}

} // namespace hasp::maint
