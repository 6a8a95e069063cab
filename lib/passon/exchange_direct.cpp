// Direct return: a browser that reaches the tier above which serves the app is sent there, where
// the app allows it (doc/decisions/0021). Who reaches what, the keeper knows; whatever it does not
// say in time, the request is passed on as ever.
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "passon/request_rules.h"

namespace hasp::passon {

bool Exchange::may_go_directly() const {
    if (app_.direct() == registry::Direct::never || direct_asked_ ||
        verdict_ != registry::Verdict::parent || down_->from() != From::user || down_->beside ||
        !who_ || by_credential_) {
        return false;
    }
    const auto value = [this](std::string_view name) {
        const net::Header* field = head.headers.find(name);
        return field == nullptr ? std::string_view{} : field->value;
    };
    Navigation asked;
    asked.get =
        head.method == net::Method::get && head.framing == net::Framing::none && !head.upgrade;
    asked.partial = head.headers.has(net::Name::range) || head.headers.has(net::Name::if_range);
    asked.credential = head.headers.has(net::Name::authorization);
    asked.mode = value("sec-fetch-mode");
    asked.dest = value("sec-fetch-dest");
    asked.purpose = value("sec-purpose");
    if (asked.purpose.empty()) {
        asked.purpose = value("purpose");
    }
    return is_top_navigation(asked);
}

// True: it is asked whether to go.
bool Exchange::go_directly() {
    if (!app_ || app_.direct() != registry::Direct::pages || !may_go_directly()) {
        return false;
    }
    ask_direct();
    return true;
}

// The same with an answer at hand, none of which has gone out. It is asked for once more there.
bool Exchange::go_directly_for(const net::AnswerHead& answer) {
    const bool large = answer.status == 200 && answer.has_length &&
                       answer.content_length >= core_.settings.direct_bytes_min;
    if (!app_ || !large || !may_go_directly()) {
        return false;
    }
    ask_direct();
    return true;
}

void Exchange::ask_direct() {
    direct_asked_ = true;
    PageQuestion question;
    question.method = "GET";
    question.scheme = scheme_;
    question.authority = authority_;
    question.host = host_;
    std::string_view rest = head.path.substr(mount_.size());
    std::string target(rest.empty() ? "/" : rest);
    if (head.has_query) {
        target.append("?").append(head.query);
    }
    std::string back(head.path);
    if (head.has_query) {
        back.append("?").append(head.query);
    }
    // Without a slash, so that no client can ask for it.
    question.target = "direct?app=" + std::string(app_name_) + "&target=" + percent_encode(target) +
                      "&back=" + percent_encode(back);
    question.client_address = client_;
    question.request_id = request_id();
    question.identity = who_->identity;
    at_ = At::direct;
    due(Due::direct);
    core_.parts.keeper.ask_page(std::move(question),
                                [handle = handle()](Result<PageAnswer> answer) {
                                    if (*handle != nullptr) {
                                        (*handle)->on_direct(std::move(answer));
                                    }
                                });
}

void Exchange::on_direct(Result<PageAnswer> answer) {
    if (at_ != At::direct) {
        return;
    }
    if (answer && answer->status == 303) {
        release_up(false);
        served_ = "direct";
        at_ = At::page;
        on_page(std::move(answer));
        return;
    }
    due(Due::nothing);
    if (!up_) {
        at_ = At::idle;
        seek();
        return;
    }
    // The head is read once more: it was not kept while others used the scratch memory.
    at_ = At::sent;
    up_seen_ = 0;
    due(Due::app_head);
    pump_answer();
}

} // namespace hasp::passon
