#include "network.h"

#include "base/text.h"
#include "trust/certificate.h"

#include <algorithm>

namespace hasp::sim {

namespace {

constexpr std::int64_t dial_least = 500 * ms;
constexpr std::int64_t dial_most = 5 * second;
constexpr std::int64_t notice_most = 20 * second; // until an end notices that its stream is dead
constexpr std::int64_t greeting = second;         // by then both have said hello
constexpr std::uint64_t pieces_max = 4;

} // namespace

void Network::add(Machine& child, Machine& parent) {
    auto wire = std::make_unique<Wire>();
    wire->child = &child;
    wire->parent = &parent;
    wires_.push_back(std::move(wire));
    dial_later(*wires_.back());
}

Network::Wire* Network::wire_of(const Machine& child) {
    return const_cast<Wire*>(std::as_const(*this).wire_of(child));
}

const Network::Wire* Network::wire_of(const Machine& child) const {
    for (const auto& wire : wires_) {
        if (wire->child == &child) {
            return wire.get();
        }
    }
    return nullptr;
}

void Network::allow(Machine& child, bool allowed) {
    Wire& wire = *wire_of(child);
    if (wire.allowed != allowed) {
        engine_.note(child.name, allowed ? "the link is back" : "the link is gone");
        wire.allowed = allowed;
        ++wire.changes;
        if (!allowed) {
            end_stream(wire, notice_most);
        }
    }
}

void Network::cut(Machine& child) {
    engine_.note(child.name, "the link is cut once");
    end_stream(*wire_of(child), notice_most);
}

bool Network::joined(const Machine& child) const {
    const Wire* wire = wire_of(child);
    return wire != nullptr && !wire->streams.empty() && wire->streams.back()->alive &&
           wire->streams.back()->child_knows && wire->streams.back()->parent_knows &&
           engine_.now_us() - wire->streams.back()->opened_us > greeting;
}

bool Network::parted(const Machine& child) const {
    const Wire* wire = wire_of(child);
    return wire != nullptr && std::none_of(wire->streams.begin(), wire->streams.end(),
                                           [](const auto& s) { return s->child_knows; });
}

std::uint64_t Network::changes(const Machine& child) const {
    return wire_of(child)->changes;
}

void Network::dial_later(Wire& wire) {
    if (wire.dialling) {
        return;
    }
    wire.dialling = true;
    engine_.after(engine_.between(dial_least, dial_most), [this, &wire] {
        wire.dialling = false;
        dial(wire);
        dial_later(wire);
    });
}

void Network::dial(Wire& wire) {
    Machine& child = *wire.child;
    Machine& parent = *wire.parent;
    // A front dials when it knows that it has no stream; its parent may still believe in an old
    // one.
    if (!wire.allowed || !child.up() || !parent.up() || !parted(child) ||
        (!wire.streams.empty() && wire.streams.back()->alive)) {
        return;
    }
    // The parent's front knows the child by its key.
    const std::string key =
        to_hex(trust::spki_fingerprint(child.keeper().identity().tls_key.spki_der()));
    bool known = false;
    for (const Json& row : member(parent.credentials(), "children")) {
        known = known || (text_of(row, "name") == child.name && text_of(row, "key") == key);
    }
    if (!known) {
        return;
    }
    auto stream = std::make_shared<Stream>();
    stream->child_link = next_link_++;
    stream->parent_link = next_link_++;
    stream->child_life = child.life();
    stream->parent_life = parent.life();
    // Its first byte comes no earlier than the child knows of the stream.
    stream->up_at = stream->opened_us = engine_.now_us();
    stream->down_at = engine_.now_us() + engine_.between(delay_least_, delay_most_);
    wire.streams.push_back(stream);
    ++wire.changes;
    engine_.note(child.name, "opens a control stream to " + parent.name);
    engine_.at(stream->down_at, [this, &wire, stream] {
        Machine& below = *wire.child;
        if (!stream->alive || below.life() != stream->child_life || !below.up()) {
            return;
        }
        stream->child_knows = true;
        ++wire.changes;
        below.front({{"t", "parent"},
                     {"up", true},
                     {"address", "parent.example:8490"},
                     {"since_us", below.clock.wall_us()},
                     {"why", ""}});
        below.front({{"t", "link.open"}, {"link", stream->child_link}, {"neighbour", ""}});
    });
    stream->parent_knows = true;
    parent.front({{"t", "link.open"}, {"link", stream->parent_link}, {"neighbour", child.name}});
}

void Network::carry(Machine& from, std::int64_t link, const std::string& bytes) {
    for (const auto& held : wires_) {
        Wire& wire = *held;
        if (wire.child != &from && wire.parent != &from) {
            continue;
        }
        for (const auto& stream : wire.streams) {
            const bool up = wire.child == &from && stream->child_link == link;
            if (!up && !(wire.parent == &from && stream->parent_link == link)) {
                continue;
            }
            // Watched and, for planted bugs, changed message by message.
            std::string out;
            Machine& to = up ? *wire.parent : *wire.child;
            [[maybe_unused]] const Status fed =
                (up ? stream->up : stream->down).feed(bytes, [&](ipc::Frame&& frame, std::size_t) {
                    Message message{from, to, parse_object(frame.head), std::move(frame.body)};
                    engine_.note(from.name, "→ " + to.name + " " + text_of(message.head, "t") +
                                                (stream->alive ? "" : " (into a dead stream)"));
                    if (!watch_ || watch_(message)) {
                        [[maybe_unused]] const Status encoded =
                            ipc::encode_frame(out, dump(message.head), message.body);
                    }
                    return true;
                });
            if (stream->alive) {
                deliver(wire, stream, up, out);
            }
            return;
        }
    }
}

void Network::deliver(Wire& wire, const std::shared_ptr<Stream>& stream, bool up,
                      const std::string& bytes) {
    const std::uint64_t pieces = 1 + engine_.below(pieces_max);
    std::size_t begin = 0;
    for (std::uint64_t i = 0; i < pieces && begin < bytes.size(); ++i) {
        const std::size_t size =
            i + 1 == pieces ? bytes.size() - begin : 1 + engine_.below(bytes.size() - begin);
        std::int64_t& last = up ? stream->up_at : stream->down_at;
        last = std::max(last, engine_.now_us() + engine_.between(delay_least_, delay_most_));
        engine_.at(last, [&wire, stream, up, piece = bytes.substr(begin, size)] {
            Machine& to = up ? *wire.parent : *wire.child;
            if (stream->alive && to.up() &&
                to.life() == (up ? stream->parent_life : stream->child_life)) {
                to.front(
                    {{"t", "link.data"}, {"link", up ? stream->parent_link : stream->child_link}},
                    piece);
            }
        });
        begin += size;
    }
}

void Network::tell_closed(Wire& wire, const std::shared_ptr<Stream>& stream, bool child,
                          std::int64_t after_us) {
    engine_.after(after_us, [&wire, stream, child] {
        Machine& end = child ? *wire.child : *wire.parent;
        bool& knows = child ? stream->child_knows : stream->parent_knows;
        if (!knows) {
            return;
        }
        knows = false;
        ++wire.changes;
        if (!end.up() || end.life() != (child ? stream->child_life : stream->parent_life)) {
            return;
        }
        end.front({{"t", "link.close"},
                   {"link", child ? stream->child_link : stream->parent_link},
                   {"why", "it was cut"}});
        if (child && stream == wire.streams.back()) {
            end.front({{"t", "parent"},
                       {"up", false},
                       {"address", ""},
                       {"since_us", end.clock.wall_us()},
                       {"why", "it was cut"}});
        }
    });
}

void Network::end_stream(Wire& wire, std::int64_t notice_most_us) {
    if (wire.streams.empty() || !wire.streams.back()->alive) {
        return;
    }
    const std::shared_ptr<Stream> stream = wire.streams.back();
    stream->alive = false;
    ++wire.changes;
    tell_closed(wire, stream, true, engine_.between(0, notice_most_us));
    tell_closed(wire, stream, false, engine_.between(0, notice_most_us));
    std::erase_if(wire.streams, [&](const auto& old) {
        return old != stream && !old->child_knows && !old->parent_knows;
    });
}

void Network::cut_neighbour(Machine& from, const std::string& neighbour) {
    for (const auto& wire : wires_) {
        if (neighbour.empty() ? wire->child == &from
                              : wire->parent == &from && wire->child->name == neighbour) {
            engine_.note(from.name, "cuts " + (neighbour.empty() ? wire->parent->name : neighbour));
            end_stream(*wire, 0);
        }
    }
}

void Network::went_down(Machine& machine) {
    for (const auto& wire : wires_) {
        if (wire->child != &machine && wire->parent != &machine) {
            continue;
        }
        end_stream(*wire, notice_most);
        for (const auto& stream : wire->streams) {
            (wire->child == &machine ? stream->child_knows : stream->parent_knows) = false;
        }
        ++wire->changes;
    }
}

} // namespace hasp::sim
