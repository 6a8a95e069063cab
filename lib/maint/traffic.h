// Bytes on this tier's links by what they were for: since the keeper started, and by calendar month
// (UTC). Requests that were passed on are counted by front (their bodies), everything else by the
// frames of the control streams. TLS and TCP come on top. One thread.
//
// The months outlive the keeper: kept() is written to the tier's store now and then
// (traffic_keep_us) and when the keeper ends in order. A keeper that crashes forgets at most what
// it counted since the last writing; of requests not even that, since front counts on.
#pragma once

#include "json_tools.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace hasp::maint {

enum class Purpose : unsigned char { requests, control, packs, files, ledger };
inline constexpr std::array<const char*, 5> purpose_names{"requests", "control", "packs", "files",
                                                          "ledger"};
inline constexpr std::int64_t traffic_keep_us = 300LL * 1'000'000;
// Of a message on a control stream, by its type.
Purpose purpose_of(std::string_view type);

// "2026-11": months compare as their texts do.
std::string month_of(std::int64_t wall_us);
// "2026-12-01": the day on which the one after that begins. Empty for what is no month.
std::string day_after_month(std::string_view month);

class Traffic {
  public:
    explicit Traffic(std::int64_t since_wall_us) : since_us_(since_wall_us) {}

    // What an earlier keeper wrote; what is not understood counts as nothing. Before anything is
    // counted.
    void restore(const Json& kept);
    Json kept() const;
    // By trusted time. A later month begins at zero, with this one as the last; an earlier one
    // changes nothing, so that no clock that jumps gives a month's bytes back. True: another began.
    bool in_month(std::int64_t trusted_us);

    void frame(bool upward, std::string_view type, std::uint64_t in, std::uint64_t out);
    // What a front says of the requests since it started: {"since_us": its start, "parent": {in,
    // out}, "children": {…}}. Each counts from zero; one that leaves counts on beside the next.
    void requests(const Json& head);

    // Bytes both ways on the link to the parent, but for those that keep the tiers themselves in
    // step.
    std::uint64_t useful_to_parent() const;
    // Of this month, both ways, on the link to the parent.
    std::uint64_t month_to_parent(Purpose purpose) const;
    // Rises with every byte of users on that link.
    std::uint64_t requests_to_parent() const { return both(since_start_[0][0]); }
    const std::string& month() const { return month_.name; }

    // When this purpose began to wait in this month, wall clock; 0: it does not. Set by whoever
    // makes it wait; forgotten with the month.
    std::int64_t waits_since_us(Purpose purpose) const;
    void set_waits_since(Purpose purpose, std::int64_t wall_us);

    // {"since", "parent": {PURPOSE: {in, out}}, "children": {…}, "month": {"month", "parent",
    // "children"}, "last_month": the same or null}; "parent" is null at the top.
    Json json(bool has_parent) const;

  private:
    struct Bytes {
        std::uint64_t in = 0;
        std::uint64_t out = 0;
    };
    using ByPurpose = std::array<Bytes, purpose_names.size()>;
    using Sides = std::array<ByPurpose, 2>; // parent, children
    struct Month {
        std::string name; // empty: there was none
        Sides bytes{};
    };
    struct Said {
        std::array<Bytes, 2> bytes{};
        std::uint64_t told = 0; // the order of those who spoke last
    };
    static constexpr std::size_t fronts_max = 16;
    static std::uint64_t both(const Bytes& bytes) { return bytes.in + bytes.out; }
    static Json json_of(const Bytes& bytes);
    static Json json_of(const ByPurpose& bytes);
    static Json json_of(const Month& month, bool has_parent);
    static Bytes bytes_of(const Json& json);
    static Month month_in(const Json& json);
    Said& said_by(std::int64_t since_us);
    void add(std::size_t side, Purpose purpose, const Bytes& bytes);

    std::int64_t since_us_;
    Sides since_start_{};
    Month month_;
    Month last_;
    std::map<std::int64_t, Said> fronts_; // by their starts, which are times since the boot
    std::uint64_t told_ = 0;
    std::array<std::int64_t, purpose_names.size()> waits_since_us_{};
};

} // namespace hasp::maint
