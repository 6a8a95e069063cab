// The links between machines: control streams that the child's front opens, over a network that
// delays, splits, loses what is under way at a cut, and tells the two ends of a cut at different
// times (one may believe for a while in a stream that is dead). Bytes of one stream arrive in order
// or not at all, as TLS has it.
#pragma once

#include "engine.h"
#include "ipc/frame.h"
#include "machine.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace hasp::sim {

// A message as it leaves a machine.
struct Message {
    Machine& from;
    Machine& to;
    Json head;
    std::string body;
};

class Network {
  public:
    explicit Network(Engine& engine) : engine_(engine) {}

    void add(Machine& child, Machine& parent);
    // Partition and its end. While open, the child's front dials anew whenever no stream is there.
    void allow(Machine& child, bool allowed);
    void cut(Machine& child);
    void set_delay(std::int64_t least_us, std::int64_t most_us) {
        delay_least_ = least_us;
        delay_most_ = most_us;
    }
    // Both ends know of the stream, and it lives.
    bool joined(const Machine& child) const;
    // No stream lives, and the child's keeper was told so.
    bool parted(const Machine& child) const;
    // Counts changes of the child's link, of any kind.
    std::uint64_t changes(const Machine& child) const;

    // Each message that leaves; false: it is lost (a planted bug). It may be changed.
    void on_message(std::function<bool(Message&)> watch) { watch_ = std::move(watch); }

    void carry(Machine& from, std::int64_t link, const std::string& bytes);
    void cut_neighbour(Machine& from, const std::string& neighbour);
    void went_down(Machine& machine);

  private:
    struct Stream {
        std::int64_t child_link = 0;
        std::int64_t parent_link = 0;
        std::uint64_t child_life = 0;
        std::uint64_t parent_life = 0;
        std::int64_t opened_us = 0;
        bool alive = true;
        bool child_knows = false; // has heard link.open, and no link.close since
        bool parent_knows = false;
        std::int64_t up_at = 0; // when the last byte under way arrives
        std::int64_t down_at = 0;
        ipc::FrameDecoder up{false};
        ipc::FrameDecoder down{false};
    };
    struct Wire {
        Machine* child;
        Machine* parent;
        bool allowed = true;
        bool dialling = false;
        std::uint64_t changes = 0;
        std::vector<std::shared_ptr<Stream>> streams; // the last may live
    };
    Wire* wire_of(const Machine& child);
    const Wire* wire_of(const Machine& child) const;
    void dial_later(Wire& wire);
    void dial(Wire& wire);
    void deliver(Wire& wire, const std::shared_ptr<Stream>& stream, bool up,
                 const std::string& bytes);
    void end_stream(Wire& wire, std::int64_t notice_most_us);
    void tell_closed(Wire& wire, const std::shared_ptr<Stream>& stream, bool child,
                     std::int64_t after_us);

    Engine& engine_;
    std::vector<std::unique_ptr<Wire>> wires_;
    std::int64_t next_link_ = 1;
    std::int64_t delay_least_ = 1 * ms;
    std::int64_t delay_most_ = 80 * ms;
    std::function<bool(Message&)> watch_;
};

} // namespace hasp::sim
