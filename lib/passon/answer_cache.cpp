#include "answer_cache.h"

#include "core.h"
#include "exchange.h"
#include "loop_group.h"

#include <algorithm>
#include <cstring>

namespace hasp::passon {
namespace {

// Of one turn of the loop: what an earlier process left is looked through beside the requests.
constexpr std::size_t recovered_at_once = 256;

// A client that asks once and reads nothing.
class Beside final : public net::Carrier {
  public:
    explicit Beside(std::string head) : head_(std::move(head)) {}
    void attach(net::Conn&) override {}
    net::IoResult read(std::span<char> into) override {
        const std::size_t bytes = std::min(into.size(), head_.size() - at_);
        if (bytes == 0) {
            return {ended_ ? net::Io::end : net::Io::again, 0};
        }
        std::memcpy(into.data(), head_.data() + at_, bytes);
        at_ += bytes;
        return {net::Io::ok, bytes};
    }
    net::IoResult write(std::span<const iovec> pieces) override {
        std::size_t bytes = 0;
        for (const iovec& one : pieces) {
            bytes += one.iov_len;
        }
        return {net::Io::ok, bytes};
    }
    void shutdown_write() override { ended_ = true; }
    bool waits_for_others() const override { return false; }
    void leave(bool) override {}

  private:
    std::string head_;
    std::size_t at_ = 0;
    bool ended_ = false;
};

} // namespace

AnswerCache::AnswerCache(Core& core, std::shared_ptr<cache::Store> store)
    : core_(core), store_(std::move(store)),
      recovery_(net::timer_call<&AnswerCache::recover>, this),
      wake_(net::timer_call<&AnswerCache::wake>, this),
      begin_(net::timer_call<&AnswerCache::begin_pending>, this) {
    if (!store_->ready() && !core_.away()) {
        core_.reactor().post(recovery_);
    }
}

AnswerCache::~AnswerCache() = default;

void AnswerCache::recover() {
    if (store_->recover(recovered_at_once)) {
        core_.reactor().post(recovery_);
    }
}

bool AnswerCache::lead(std::uint64_t group) {
    return flights_.size() < flights_max && flights_.try_emplace(group).second;
}

bool AnswerCache::wait(std::uint64_t group, Exchange& exchange) {
    const auto flight = flights_.find(group);
    if (flight == flights_.end() || flight->second.size() >= waiting_max) {
        return false;
    }
    flight->second.push_back(&exchange);
    return true;
}

void AnswerCache::landed(std::uint64_t group) {
    const auto flight = flights_.find(group);
    if (flight == flights_.end()) {
        return;
    }
    if (!flight->second.empty()) {
        // Behind the round: who landed is in the middle of something.
        ready_.insert(ready_.end(), flight->second.begin(), flight->second.end());
        core_.reactor().post(wake_);
    }
    flights_.erase(flight);
}

void AnswerCache::forget(const Exchange& exchange) {
    std::erase(ready_, &exchange);
    for (auto& [group, waiting] : flights_) {
        std::erase(waiting, &exchange);
    }
}

void AnswerCache::wake() {
    while (!ready_.empty()) {
        Exchange* one = ready_.back();
        ready_.pop_back();
        one->on_landed();
    }
}

bool AnswerCache::seldom_stored(std::uint64_t group) const {
    return not_stored_[group % not_stored_.size()] == group;
}

void AnswerCache::not_stored(std::uint64_t group) {
    not_stored_[group % not_stored_.size()] = group;
}

// The folder and the ending: "/assets/app.3f2a.js" is of the kind of "/assets/page.77b0.js".
std::uint64_t AnswerCache::kind_of(std::string_view app, std::string_view target) {
    target = target.substr(0, target.find('?'));
    const std::size_t name = target.rfind('/') + 1; // 0: there is none
    const std::size_t dot = target.find_last_of('.');
    const std::string_view ending =
        dot != std::string_view::npos && dot >= name ? target.substr(dot) : std::string_view{};
    std::uint64_t kind = registry::name_hash(app);
    for (const std::string_view part : {target.substr(0, name), ending}) {
        kind = kind * 0x9e3779b97f4a7c15U + registry::name_hash(part);
    }
    return kind;
}

bool AnswerCache::often_shared(std::uint64_t kind) const {
    return shared_kinds_[kind % shared_kinds_.size()] == kind;
}

void AnswerCache::was_shared(std::uint64_t kind, bool shared) {
    if (shared) {
        shared_kinds_[kind % shared_kinds_.size()] = kind;
    } else if (often_shared(kind)) {
        shared_kinds_[kind % shared_kinds_.size()] = 0;
    }
}

void AnswerCache::told_release(std::string_view app, std::string_view release) {
    const auto known = releases_.find(app);
    if (release.empty() || (known != releases_.end() && known->second == release)) {
        return;
    }
    heard_release(app, release);
    if (core_.loops != nullptr) {
        core_.loops->post_others(core_.loop,
                                 [name = std::string(app), now = std::string(release)](Core& core) {
                                     if (core.cache) {
                                         core.cache->heard_release(name, now);
                                     }
                                 });
    }
}

void AnswerCache::heard_release(std::string_view app, std::string_view release) {
    if (const auto known = releases_.find(app); known != releases_.end()) {
        known->second.assign(release);
        return;
    }
    if (releases_.size() >= releases_max) {
        releases_.clear();
    }
    releases_.emplace(app, release);
}

bool AnswerCache::is_current(std::string_view app, std::string_view release) const {
    const auto known = releases_.find(app);
    return known == releases_.end() || known->second == release;
}

void AnswerCache::refresh(std::uint64_t group, const Exchange& like, std::string head) {
    if (refreshes_ >= refreshes_max || flights_.contains(group) || core_.draining) {
        return;
    }
    const ServerConn& down = *like.down();
    ++refreshes_;
    pending_.push_back(
        {down.from(), down.tls(), down.peer(), down.wire.conn->peer(), std::move(head)});
    core_.reactor().post(begin_); // the one who asks is in the middle of its answer
}

void AnswerCache::begin_pending() {
    for (Pending& next : std::exchange(pending_, {})) {
        auto conn = std::make_unique<ServerConn>(core_, next.from, next.tls);
        ServerConn& one = *conn;
        core_.add_server_conn(std::move(conn));
        one.take_beside(std::make_unique<Beside>(std::move(next.head)), std::move(next.peer),
                        next.address);
    }
}

void AnswerCache::invalidate(std::string_view app, std::string_view owner, std::string_view target,
                             std::string_view mount) {
    const std::uint64_t group = store_->group_of(app, target, mount);
    store_->drop_group(group);
    if (!owner.empty()) {
        store_->drop_group(store_->group_of(group, owner));
    }
}

} // namespace hasp::passon
