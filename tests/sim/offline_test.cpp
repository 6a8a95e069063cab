// A local that is cut off for more than thirty days: its clock steps, it is killed and loses its
// power, and nobody tells it what time it is. People log in and apps are reached exactly as leased,
// by the time that it can know; what was used meanwhile and written into users' files is at home
// after the return, once.
#include "realm.h"
#include "seeds.h"
#include "world.h"

#include "registry/decide.h"

#include <ctime>
#include <gtest/gtest.h>

namespace hasp::sim {

namespace {

constexpr std::int64_t away = 31 * day;
constexpr std::int64_t tick = minute;
constexpr std::int64_t near_an_end = 2 * second; // probed this long before and after each end
// The clock of the boot is saved this often, so much of the uptime a power cut may take.
constexpr std::int64_t saved_every = 300 * second + 2 * tick;
constexpr std::int64_t extended_days = 20; // ben's log-in; anna's has the seven by default

std::int64_t parse_time(const std::string& text) {
    std::tm fields{};
    return ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &fields) == nullptr
               ? 0
               : static_cast<std::int64_t>(::timegm(&fields)) * second;
}

// What the box can know of the time, told apart from how it works that out: `most` is the signed
// time and all uptime since, `least` is without what power cuts took of it. In a process that has
// not heard a signed time the wall clock counts where it is later, and from then on with it.
class Knowledge {
  public:
    Knowledge(const Engine& engine, const Machine& box) : engine_(engine), box_(box) {}

    void heard() { // the true time, until now
        before_us_ = engine_.now_us() - box_.clock.boot_us();
        lost_us_ = second; // signed times are as old as their way was long
        wall_counts_ = false;
        believed_.reset();
    }
    void look() { // the box has read its clocks
        if (wall_counts_) {
            const std::int64_t ahead = box_.clock.wall_us() - engine_.now_us();
            believed_ = std::max(believed_.value_or(ahead), ahead);
        }
    }
    void died(bool power, std::int64_t boot_us_before) {
        wall_counts_ = true;
        believed_.reset();
        if (power) {
            lost_us_ += std::min(boot_us_before, saved_every);
            before_us_ += boot_us_before;
        }
    }
    std::int64_t most() const { return later(before_us_ + box_.clock.boot_us()); }
    std::int64_t least() const { return later(before_us_ + box_.clock.boot_us() - lost_us_); }

  private:
    std::int64_t later(std::int64_t certain) const {
        return believed_ ? std::max(certain, engine_.now_us() + *believed_) : certain;
    }
    const Engine& engine_;
    const Machine& box_;
    std::int64_t before_us_ = 0; // trusted time when the boot began
    std::int64_t lost_us_ = 0;
    bool wall_counts_ = false;
    std::optional<std::int64_t> believed_; // how far it is ahead of true time
};

class MonthOffline : public testing::TestWithParam<std::uint64_t> {
  protected:
    MonthOffline() : world_(scenario()) {}

    static Scenario scenario() {
        Scenario out;
        out.seed = GetParam();
        const std::string seed = std::to_string(out.seed);
        out.replay = "HASP_SIM_MONTHS=" + seed + "-" + seed +
                     " HASP_SIM_TRACE=1 build/dev/tests/sim/sim_test --gtest_filter='Seeds/*'";
        out.print = std::getenv("HASP_SIM_TRACE") != nullptr;
        out.faults = false;
        return out;
    }

    void pass(std::int64_t us) { engine_.run_until(engine_.now_us() + us); }

    void begin() {
        world_.start();
        pass(minute);
        center_.admin("lease.extend", {{"name", "tokyo"}, {"user", "ben"}, {"days", extended_days}},
                      [](std::optional<Result<Json>> answer) {
                          ASSERT_TRUE(answer && answer->ok()) << answer->error().message;
                      });
        pass(2 * minute);
        ASSERT_TRUE(world_.network.joined(tokyo_));
        for (Account& account : world_.accounts) {
            world_.log_in(account, tokyo_, *account.password.now().begin());
            world_.use(tokyo_, account, files_app, 1);
        }
        pass(20 * second);
        for (const Json& grant : member(tokyo_.look("lease.show"), "grants")) {
            const std::int64_t end = parse_time(text_of(grant, "expires"));
            ASSERT_GT(end, 0);
            if (text_of(grant, "kind") == "log-in") {
                log_in_ends_[text_of(grant, "what")] = end;
            } else if (text_of(grant, "kind") == "run") {
                app_ends_[text_of(grant, "what")] = end;
            }
        }
        ASSERT_EQ(log_in_ends_.size(), 2U);
        ASSERT_EQ(app_ends_.size(), 3U);
        EXPECT_NEAR(double(log_in_ends_.at("anna") - engine_.now_us()), 7.0 * day, 1.0 * hour);
        EXPECT_NEAR(double(log_in_ends_.at("ben") - engine_.now_us()), 20.0 * day, 1.0 * hour);
        EXPECT_NEAR(double(app_ends_.at("wiki") - engine_.now_us()), 30.0 * day, 1.0 * hour);
        world_.network.allow(tokyo_, false);
        world_.network.allow(world_.machine("osaka"), false); // it has no part in this
        for (const auto& machine : world_.machines) {
            machine->tick_us = tick;
        }
        pass(30 * second);
        known_.heard();
    }

    // One end against what may be known of the time before and after the question.
    void judge(const std::string& what, std::int64_t end, std::int64_t least_before,
               std::int64_t most_after, bool open) {
        if (most_after < end) {
            EXPECT_TRUE(open) << what << " ended " << (end - most_after) / second
                              << " s too early, " << context();
        }
        if (least_before >= end + second) {
            EXPECT_FALSE(open) << what << " went on " << (least_before - end) / second
                               << " s too long, " << context();
        }
        (open ? opened_ : closed_)[what] += 1;
    }
    std::string context() const {
        return "day " + std::to_string((engine_.now_us() - cut_us_) / day) + "\n" + world_.report();
    }

    void probe() {
        if (!tokyo_.up()) {
            return;
        }
        tokyo_.turn([](maint::Keeper& keeper) { keeper.tick(); });
        known_.look();
        for (const auto& [app, end] : app_ends_) {
            const std::int64_t now_us =
                tokyo_.clock.boot_us() + tokyo_.snapshot()->clock_offset_us();
            const std::uint64_t may = registry::name_hash(app);
            registry::Viewer viewer;
            viewer.signed_on = true;
            viewer.entitled = {&may, 1};
            const auto verdict =
                registry::decide(*tokyo_.snapshot(), app, viewer, now_us, registry::Source::below)
                    .verdict;
            judge(app, end, known_.least(), known_.most(), verdict == registry::Verdict::here);
        }
        for (const auto& [user, end] : log_in_ends_) {
            const std::int64_t least = known_.least();
            int status = 0;
            tokyo_.log_in(user, "first word of " + user,
                          [&status](const Page& page) { status = page.status; });
            pass(400 * ms);
            judge("the log-in of " + user, end, least, known_.most(), status == 303);
        }
    }

    // The next end by what the box may know; INT64_MAX: none is near.
    std::int64_t to_the_next_end() const {
        std::int64_t least = INT64_MAX;
        for (const auto* ends : {&log_in_ends_, &app_ends_}) {
            for (const auto& [name, end] : *ends) {
                for (const std::int64_t known : {known_.most(), known_.least()}) {
                    for (const std::int64_t beside : {-near_an_end, 0L, second + near_an_end}) {
                        const std::int64_t left = end + beside - known;
                        least = left > 0 ? std::min(least, left) : least;
                    }
                }
            }
        }
        return least;
    }

    void step(std::int64_t by_us) { // no clock goes back before 1970
        world_.step_clock(tokyo_, std::max(by_us, day - tokyo_.clock.wall_us()));
    }

    void die(Machine::End how) {
        const std::int64_t boot_us = tokyo_.clock.boot_us();
        tokyo_.crash(how);
        known_.died(how == Machine::End::power_lost, boot_us);
        if (engine_.chance(30)) {
            step(engine_.between(-2 * day, 2 * day)); // nobody looks
        }
        while (!tokyo_.up()) {
            pass(second);
        }
        tokyo_.turn([](maint::Keeper& keeper) { keeper.tick(); });
        known_.look();
    }

    void something_happens() {
        Account& account = engine_.one_of(world_.accounts);
        switch (engine_.below(12)) {
        case 0:
            die(Machine::End::power_lost);
            break;
        case 1:
            die(Machine::End::killed);
            break;
        case 2:
            known_.look();
            step(engine_.between(-3 * day, 2 * day));
            break;
        case 3:
            // As a box without a battery: 1970, and right again at times.
            known_.look();
            step(-(engine_.chance(50) ? tokyo_.clock.wall_us() : tokyo_.clock.error_us()));
            break;
        case 4: {
            const std::uint64_t life = tokyo_.life();
            tokyo_.crash_before_freeing(Machine::End::killed);
            world_.use(tokyo_, account, "wiki", 1 + engine_.below(5));
            pass(second);
            tokyo_.crash_before_freeing(std::nullopt);
            while (!tokyo_.up()) {
                pass(second);
            }
            if (tokyo_.life() != life) { // it may have been down for less than that second
                known_.died(false, 0);
            }
            break;
        }
        case 5:
        case 6:
        case 7:
            world_.files.act(account, tokyo_);
            break;
        default:
            world_.use(tokyo_, account, engine_.one_of(Realm::apps()), 1 + engine_.below(10));
        }
        tokyo_.turn([](maint::Keeper& keeper) { keeper.tick(); });
        known_.look();
    }

    World world_;
    Engine& engine_ = world_.engine;
    Machine& center_ = world_.machine("center");
    Machine& tokyo_ = world_.machine("tokyo");
    Knowledge known_{engine_, tokyo_};
    std::map<std::string, std::int64_t> log_in_ends_;
    std::map<std::string, std::int64_t> app_ends_;
    std::int64_t cut_us_ = 0;
    std::map<std::string, int> opened_;
    std::map<std::string, int> closed_;
};

} // namespace

TEST_P(MonthOffline, EverythingIsAsLeasedAndComesHomeOnce) {
    ASSERT_NO_FATAL_FAILURE(begin());
    cut_us_ = engine_.now_us();
    while (engine_.now_us() < cut_us_ + away && !HasFailure()) {
        pass(std::min({to_the_next_end(), engine_.between(minute, 4 * hour),
                       cut_us_ + away - engine_.now_us()}));
        probe();
        if (to_the_next_end() > 10 * minute) {
            something_happens();
        }
    }
    ASSERT_FALSE(HasFailure());
    for (const auto* ends : {&log_in_ends_, &app_ends_}) {
        for (const auto& [name, end] : *ends) {
            const std::string what = ends == &app_ends_ ? name : "the log-in of " + name;
            EXPECT_GT(opened_[what], 20) << what;
            EXPECT_GT(closed_[what], 2) << what;
        }
    }
    const auto usage = static_cast<std::int64_t>(world_.usage.size());
    EXPECT_GT(usage, 200);
    EXPECT_GT(int_of(member(tokyo_.look("status"), "usage"), "unsent_events"), usage / 2);
    EXPECT_GT(world_.files.deeds(), 20U);
    for (const auto& machine : world_.machines) {
        machine->tick_us = second;
    }
    world_.heal();
    if (!engine_.stopped()) {
        world_.check_converged();
    }
    EXPECT_FALSE(world_.violation().has_value()) << world_.report();
}

// HASP_SIM_MONTHS=A-B runs those seeds instead of 1-3 (1 under a sanitizer). ctest knows the names
// of these tests; more run when the program is started by itself.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr Seeds months_default{1, 1};
#else
constexpr Seeds months_default{1, 3};
#endif

auto months() {
    const Seeds seeds = seeds_from("HASP_SIM_MONTHS", months_default);
    return testing::Range(seeds.first, seeds.last + 1);
}

INSTANTIATE_TEST_SUITE_P(Seeds, MonthOffline, months(), testing::PrintToStringParamName());

} // namespace hasp::sim
