#include "control_stream.h"

#include "core.h"
#include "link_child.h"
#include "link_socket.h"

namespace hasp::passon {

ControlStream::ControlStream(Core& core, ControlId id, std::unique_ptr<net::Conn> conn,
                             std::string peer, bool to_parent)
    : core_(core), id_(id), peer_(std::move(peer)), to_parent_(to_parent) {
    wire_.conn = std::move(conn);
    wire_.conn->set_owner(*this);
    set_waiting_link_options(wire_.conn->fd(), core_.settings.link_silence_ms, 0);
}

ControlStream::~ControlStream() = default;

void ControlStream::begin(Core& core, std::unique_ptr<net::Conn> conn, const std::string& peer,
                          bool to_parent, std::string_view early) {
    core.close_controls_of(peer, "the neighbour opened a new control stream", false);
    const ControlId id = core.random_u64() | 1U;
    ControlOpened opened{id, peer, to_parent, conn->peer().to_string(), conn->verified_chain()};
    auto made = std::make_unique<ControlStream>(core, id, std::move(conn), peer, to_parent);
    core.add_control(std::move(made));
    if (core.draining) {
        // It began before the listeners were closed: the next try meets who serves.
        core.control(id)->close("this process is replaced by another", End::in_order);
        return;
    }
    if (!to_parent) {
        Endpoint& below = core.child_endpoint(peer);
        below.mark_up();
        below.tell_loops();
    }
    core.parts.keeper.control_opened(opened);
    if (!early.empty() && core.control(id) != nullptr) {
        core.parts.keeper.control_data(id, early);
    }
    if (ControlStream* stream = core.control(id); stream != nullptr) {
        stream->read();
    }
}

Status ControlStream::send(std::string_view bytes) {
    if (closed_) {
        return fail(Code::unreachable, "the control stream to " + peer_ + " is closed");
    }
    if (wire_.pending_bytes() + bytes.size() > core_.settings.control_queue_bytes) {
        return fail(Code::try_later,
                    "the neighbour " + peer_ + " does not read its control stream");
    }
    if (!wire_.write(bytes)) {
        // Told by the next event: the caller is in the middle of its own work.
        return fail(Code::unreachable, "the control stream to " + peer_ + " broke");
    }
    return {};
}

void ControlStream::release() {
    held_ = false;
    read();
}

void ControlStream::on_ready(net::Conn&) {
    if (!wire_.flush()) {
        close("the connection broke");
        return;
    }
    read();
}

void ControlStream::on_fail(net::Conn& conn) {
    close(conn.failure());
}

void ControlStream::read() {
    while (!closed_ && !held_) {
        switch (wire_.fill()) {
        case Wire::Fill::got:
            core_.parts.keeper.control_data(id_, wire_.in.readable());
            if (!closed_) {
                wire_.in.consume(wire_.in.size());
            }
            continue;
        case Wire::Fill::again:
            return;
        case Wire::Fill::end:
            close("the neighbour closed it", End::in_order);
            return;
        case Wire::Fill::cut:
            close("the connection was cut");
            return;
        case Wire::Fill::full:
        case Wire::Fill::failed:
            close("the connection broke");
            return;
        }
    }
}

void ControlStream::close(const std::string& why, End end) {
    if (closed_) {
        return;
    }
    closed_ = true;
    if (end == End::in_order) {
        wire_.conn->shutdown_write(); // the neighbour is to see that it was not cut
    }
    wire_.conn->close();
    Core& core = core_;
    const bool to_parent = to_parent_;
    const std::string peer = peer_;
    const ControlId id = id_;
    core.remove_control(id);
    core.parts.keeper.control_closed(id, why);
    if (to_parent) {
        if (core.link_child) {
            core.link_child->on_control_closed(why, end == End::lost);
        }
    } else if (!core.has_control_of(peer)) {
        // Not child_endpoint(): without its control stream that takes it for one that never came.
        Endpoint& below = core.endpoints.get(EndpointKind::child, "c:" + peer);
        if (end == End::lost) {
            below.mark_down(why);
        } else {
            below.due_ms = core.now_ms() + core.settings.child_returns_ms;
        }
        below.tell_loops();
    }
}

} // namespace hasp::passon
