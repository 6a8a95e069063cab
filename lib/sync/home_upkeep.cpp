// Home: work in the background, a bounded piece at a time.
#include "home_store.h"
#include "store/transaction.h"
#include "sync/home.h"

#include <algorithm>
#include <optional>

namespace hasp::sync {

namespace {
constexpr std::size_t versions_a_step = 2000;
}

Result<bool> Home::upkeep(const UpkeepRule& rule) {
    bool more = false;
    std::optional<Error> first;
    const auto step = [&more, &first](const Result<bool>& done) {
        more = more || done.value_or(false);
        if (!done && !first) {
            first = done.error();
        }
    };
    const ContentStore::Healed healed = [this](const std::vector<ContentStore::Damaged>& whole) {
        auto told = give_again(whole, {});
        return told ? Status{} : Status(told.error());
    };
    const std::int64_t now = clock_.wall_us();
    step(contents_.take_over_some(healed));
    step(thin_out_some(rule.keep));
    step(drop_quarantined_some());
    step(contents_.compact_some());
    auto scrub = contents_.scrub();
    // One that ended in what is the future now would not be followed by another for as long.
    if (scrub && (scrub->began_us != 0 || scrub->ended_us == 0 || now < scrub->ended_us ||
                  now - scrub->ended_us >= rule.scrub_days * day_us)) {
        step(contents_.scrub_some(now));
    } else if (!scrub) {
        step(scrub.error());
    }
    step(contents_.recheck_some(healed));
    if (Status removed = contents_.remove_lost(now); !removed) {
        step(removed.error());
    }
    return first ? Result<bool>(*first) : Result<bool>(more);
}

// By rows in the order of their names, from where it was.
Result<bool> Home::thin_out_some(const KeepRule& rule) {
    auto pass = store_->pass();
    if (!pass) {
        return pass.error();
    }
    if (pass->now_us == 0) {
        const std::int64_t wall = clock_.wall_us();
        const std::int64_t boot = clock_.boot_us();
        const bool rested =
            !last_pass_us_ || boot - *last_pass_us_ >= keep_pass_every_hours * hour_us;
        if (!rested || wall - pass->ended_us < keep_pass_every_hours * hour_us) {
            return false;
        }
        last_pass_us_ = boot;
        pass->now_us = std::min(wall, pass->ended_us + keep_pass_step_days_max * day_us);
        pass->at = {};
    }
    auto some = store_->versions_from(pass->at, versions_a_step);
    if (!some) {
        return some.error();
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    for (const HomeStore::Ended& one : *some) {
        if (one.ended == 0 || keeps(rule, one.stood, pass->now_us)) {
            continue;
        }
        Status gone = store_->drop_version(one.at);
        if (gone && !one.hash.empty()) {
            gone = contents_.drop_unneeded(one.at.user, one.hash);
        }
        if (!gone) {
            return gone.error();
        }
    }
    const bool more = some->size() == versions_a_step;
    if (more) {
        pass->at = some->back().at;
    } else {
        pass->ended_us = pass->now_us;
        pass->now_us = 0;
        pass->at = {};
    }
    Status put = store_->put_pass(*pass);
    put = put ? transaction->commit() : put;
    return put ? Result<bool>(more) : put.error();
}

Result<Home::Damage> Home::damage(std::size_t max) {
    Damage out;
    auto count = contents_.damaged_count();
    if (!count) {
        return count.error();
    }
    out.contents = *count;
    auto some =
        *count == 0
            ? Result<std::vector<ContentStore::Damaged>>(std::vector<ContentStore::Damaged>{})
            : contents_.damaged(max);
    if (!some) {
        return some.error();
    }
    for (const ContentStore::Damaged& one : *some) {
        auto files = store_->files_of(one.user, one.hash, max - std::min(max, out.files.size()));
        if (!files) {
            return files.error();
        }
        out.files.insert(out.files.end(), files->begin(), files->end());
    }
    return out;
}

} // namespace hasp::sync
