// Requests that go to a center beside this one, and those that came from one.
#include "core.h"
#include "exchange.h"
#include "link_fields.h"

namespace hasp::passon {

registry::Source Exchange::source() const {
    switch (down_->from()) {
    case From::parent:
        return registry::Source::parent;
    case From::peer:
        return registry::Source::peer;
    case From::user:
    case From::child:
        break;
    }
    return registry::Source::below;
}

// Of the peer's user, by its assertion and by nothing else that it says.
void Exchange::identify_by_peer() {
    const net::Header* given = head.headers.find(link_assertion);
    if (given == nullptr || given->value.empty() ||
        given->value.size() > assertion_text_bytes_max) {
        why_ = "a peer asks without an assertion";
        notice(Notice::nowhere);
        return;
    }
    ask_who(WhoQuestion::Kind::peer, down_->peer(), given->value);
}

// What was signed some minutes ago is as good as new: the keeper is asked when there is none.
void Exchange::seek_at_peer() {
    const std::string& user = who_->identity->user;
    word_ = core_.peer_words.find(app_.child(), app_name_, user, trusted_us_);
    if (word_ != nullptr) {
        seek();
        return;
    }
    at_ = At::word;
    due(Due::keeper);
    core_.parts.keeper.ask_assertion({std::string(app_.child()), std::string(app_name_), user},
                                     [handle = handle()](Result<AssertionAnswer> answer) {
                                         if (*handle != nullptr) {
                                             (*handle)->on_word(std::move(answer));
                                         }
                                     });
}

void Exchange::on_word(Result<AssertionAnswer> answer) {
    if (at_ != At::word) {
        return;
    }
    due(Due::nothing);
    if (!answer) {
        why_ = answer.error().message;
        notice(answer.error().code == Code::refused ? Notice::nowhere : Notice::keeper);
        return;
    }
    word_ = std::make_shared<const std::string>(std::move(answer->text));
    core_.peer_words.put(app_.child(), app_name_, who_->identity->user, word_, answer->until_us);
    seek();
}

// In TLS 1.3 the other side judges our certificate when our handshake is over already, so only an
// answer shows that a peer is there for us.
void Exchange::peer_answers() {
    if (up_->endpoint.kind() == EndpointKind::peer) {
        up_->endpoint.mark_up();
    }
}

void Exchange::blame_peer(bool reused) {
    if (up_ && !reused && up_->endpoint.kind() == EndpointKind::peer) {
        up_->endpoint.mark_down(
            "it closed the connection at the first request; perhaps it does not list this center");
    }
}

} // namespace hasp::passon
