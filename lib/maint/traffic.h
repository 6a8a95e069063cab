// Bytes on this tier's links since the keeper started, by what they were for. Requests that were
// passed on are counted by front (their bodies), everything else by the frames of the control
// streams. TLS and TCP come on top. One thread.
#pragma once

#include "json_tools.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace hasp::maint {

enum class Purpose : unsigned char { requests, control, packs, files, ledger };
inline constexpr std::array<const char*, 5> purpose_names{"requests", "control", "packs", "files",
                                                          "ledger"};
// Of a message on a control stream, by its type.
Purpose purpose_of(std::string_view type);

class Traffic {
  public:
    explicit Traffic(std::int64_t since_wall_us) : since_us_(since_wall_us) {}

    void frame(bool upward, std::string_view type, std::uint64_t in, std::uint64_t out);
    // What front says of the requests since it started: {"parent": {in, out}, "children": {…}}. A
    // front that was started again counts anew; what the one before it said is kept.
    void requests(const Json& head);
    void front_started();

    // Bytes both ways on the link to the parent, but for those that keep the tiers themselves in
    // step.
    std::uint64_t useful_to_parent() const;

    // {"since", "parent": {PURPOSE: {in, out}}, "children": {…}}; "parent" is null at the top.
    Json json(bool has_parent) const;

  private:
    struct Bytes {
        std::uint64_t in = 0;
        std::uint64_t out = 0;
    };
    using ByPurpose = std::array<Bytes, purpose_names.size()>;
    static Json json_of(const ByPurpose& bytes);

    std::int64_t since_us_;
    std::array<ByPurpose, 2> bytes_{}; // parent, children
    std::array<Bytes, 2> earlier_fronts_{};
};

} // namespace hasp::maint
