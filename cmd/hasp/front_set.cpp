#include "front_set.h"

#include "json_tools.h"

namespace hasp::cmd {

namespace {

ipc::Frame frame_of(const Json& head) {
    return {dump(head), {}, {}};
}

std::uint64_t link_of(const Json& head) {
    return static_cast<std::uint64_t>(int_of(head, "link"));
}

} // namespace

void FrontSet::connected(FrontNumber front) {
    fronts_.insert(front);
}

FrontSet::Frames FrontSet::gone(FrontNumber front) {
    fronts_.erase(front);
    leader_ = leader_ == front ? 0 : leader_;
    Frames out;
    for (auto at = links_.begin(); at != links_.end();) {
        if (at->second == front) {
            out.push_back(frame_of({{"t", "link.close"},
                                    {"link", at->first},
                                    {"why", "the front with it has ended"}}));
            at = links_.erase(at);
        } else {
            ++at;
        }
    }
    for (auto at = retiring_.begin(); at != retiring_.end();) {
        at->second.waits_for.erase(front);
        if (at->second.waits_for.empty()) {
            out.push_back(frame_of({{"t", "retired"}, {"ask", at->first}}));
            at = retiring_.erase(at);
        } else {
            ++at;
        }
    }
    return out;
}

FrontSet::Frames FrontSet::from(FrontNumber front, ipc::Frame&& frame) {
    const Json head = parse_object(frame.head);
    const std::string type = text_of(head, "t");
    Frames out;
    if (type == "lead") {
        leader_ = front;
        return out;
    }
    if (type == "link.open") {
        links_[link_of(head)] = front;
    } else if (type == "link.close") {
        links_.erase(link_of(head));
    } else if (type == "retired") {
        const auto at = retiring_.find(int_of(head, "ask"));
        if (at != retiring_.end()) {
            at->second.waits_for.erase(front);
            if (!at->second.waits_for.empty()) {
                return out;
            }
            retiring_.erase(at);
        }
    } else if (type == "upstream" || type == "peer") {
        if (front != counts()) {
            return out;
        }
    } else if (type == "parent") {
        // One that has only begun does not know yet what the one before it had.
        const bool knows = true_of(head, "up") || int_of(head, "since_us") != 0;
        if (front != counts() || (!knows && fronts_.size() > 1)) {
            return out;
        }
    }
    out.push_back(std::move(frame));
    return out;
}

std::vector<FrontNumber> FrontSet::to(std::string_view text) {
    const Json head = parse_object(text);
    const std::string type = text_of(head, "t");
    const std::vector<FrontNumber> all(fronts_.begin(), fronts_.end());
    if (type == "who" || type == "page" || type == "start" || type == "assertion") {
        const auto front = static_cast<FrontNumber>(
            static_cast<std::uint64_t>(int_of(head, "id")) >> question_bits);
        return fronts_.contains(front) ? std::vector{front} : std::vector<FrontNumber>{};
    }
    if (type == "link.data") {
        const auto at = links_.find(link_of(head));
        return at == links_.end() ? std::vector<FrontNumber>{} : std::vector{at->second};
    }
    if (type == "retire" && !fronts_.empty()) {
        retiring_[int_of(head, "ask")].waits_for = fronts_;
    }
    return all;
}

} // namespace hasp::cmd
