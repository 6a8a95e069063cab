// Connections at the listener for neighbours that have not shown whose they are, by where they come
// from. One that cannot be taken any more is made room for: the box or tier behind it says who it
// is within a round trip or two, and who came first and is still silent has had longer than that.
// One thread.
#pragma once

#include "net/address.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

namespace hasp::passon {

class ServerConn;

class Strangers {
  public:
    struct One {
        ServerConn* conn;
        std::uint64_t number; // lower: it came earlier
    };
    using Place = std::list<One>::iterator;

    Place enter(const std::string& host, ServerConn& conn) {
        ++count_;
        std::list<One>& here = sites_[net::site_of(host)];
        return here.insert(here.end(), {&conn, ++last_});
    }
    void leave(const std::string& host, Place place) {
        const auto at = sites_.find(net::site_of(host));
        --count_;
        at->second.erase(place);
        if (at->second.empty()) {
            sites_.erase(at);
        }
    }
    std::size_t count() const { return count_; }
    std::size_t sites() const { return sites_.size(); }
    std::size_t of(const std::string& host) const {
        const auto at = sites_.find(net::site_of(host));
        return at == sites_.end() ? 0 : at->second.size();
    }

    // Whom to close for one more from there; of anywhere: from where most are. Of those without a
    // request (`busy`) the one that came first, else of all. Null: there is none.
    template <typename Busy>
    ServerConn* first_of(const std::string& host, const Busy& busy) const {
        const auto at = sites_.find(net::site_of(host));
        return at == sites_.end() ? nullptr : first(at->second, busy);
    }
    template <typename Busy>
    ServerConn* first_of_most(const Busy& busy) const {
        const std::list<One>* most = nullptr;
        for (const auto& [site, here] : sites_) {
            if (most == nullptr || here.size() > most->size() ||
                (here.size() == most->size() && here.front().number < most->front().number)) {
                most = &here;
            }
        }
        return most == nullptr ? nullptr : first(*most, busy);
    }

  private:
    template <typename Busy>
    static ServerConn* first(const std::list<One>& here, const Busy& busy) {
        for (const One& one : here) {
            if (!busy(*one.conn)) {
                return one.conn;
            }
        }
        return here.front().conn;
    }
    std::unordered_map<std::string, std::list<One>> sites_; // none is empty
    std::size_t count_ = 0;
    std::uint64_t last_ = 0;
};

} // namespace hasp::passon
