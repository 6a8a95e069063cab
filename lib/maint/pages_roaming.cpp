// The portal for users whose files another tier has not sent all of.
#include "base/text.h"
#include "pages.h"

#include <ctime>

namespace hasp::maint {

namespace {

constexpr int again_s = 10;
constexpr const char* waiting_page = "/?files=wait";

int offset_s(std::int64_t wall_us) {
    const std::time_t seconds = static_cast<std::time_t>(wall_us / 1'000'000);
    std::tm local{};
    localtime_r(&seconds, &local);
    return static_cast<int>(local.tm_gmtoff);
}

bool is_waiting(const std::string& target) {
    return target == waiting_page;
}

} // namespace

signon::OwedNotice Pages::owed_notice(const Request& request,
                                      const std::vector<Owing>& owing) const {
    using State = signon::OwedNotice::State;
    signon::OwedNotice out;
    const std::int64_t now_us = world_.clock.wall_us();
    for (const Owing& one : owing) {
        out.lines.push_back(owing_text(one, "your", now_us, offset_s(now_us)));
    }
    const Roaming::Choice choice = world_.roaming.choice(request.sid);
    out.state = is_waiting(request.target)         ? State::waiting
                : choice == Roaming::Choice::read  ? State::reading
                : choice == Roaming::Choice::go_on ? State::going_on
                                                   : State::to_choose;
    out.again_s = out.state == State::waiting && !out.lines.empty() ? again_s : 0;
    return out;
}

Pages::Response Pages::choose(const Request& request, const signon::Identity& who) {
    if (!is_same_origin(request)) {
        return error(request, 403, "This came from another site",
                     "For your safety it was not carried out.", "");
    }
    const std::string wish = form_value(request.body, "choice").value_or("");
    const bool waits = wish == "wait";
    if (!waits && wish != "read" && wish != "go-on") {
        return page(request, 400, signon::not_found_page(frame()));
    }
    world_.roaming.choose(request.sid, who.user,
                          wish == "read"    ? Roaming::Choice::read
                          : wish == "go-on" ? Roaming::Choice::go_on
                                            : Roaming::Choice::none);
    return {303, {{"location", waits ? waiting_page : "/"}, {"cache-control", "no-store"}}, ""};
}

} // namespace hasp::maint
